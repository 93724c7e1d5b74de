"""What a command prints when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

# Object keys may hold `[x]` or `:x:`, which rich would take for markup.
console = Console(markup=False, emoji=False, highlight=False)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table, one row per mapping."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def print_mapping(title: str, values: Mapping[str, Any]) -> None:
    """A table of two columns: what, and its value."""
    shown = {what: f"{value:,}" if isinstance(value, int) else value for what, value in values.items()}
    print_rows(title, [{"what": what, "value": value} for what, value in shown.items()])


def print_line(line: str) -> None:
    """A line as it is, never wrapped, so that addresses and paths in it can be copied."""
    console.print(line, soft_wrap=True)
