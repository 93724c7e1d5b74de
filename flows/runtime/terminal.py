"""What commands print: tables, lines, and progress."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_SECONDS_BETWEEN = 2.0

# Object keys may hold `[x]` or `:x:`, which rich would take for markup.
console = Console(markup=False, emoji=False, highlight=False)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table, one row for each mapping."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def print_mapping(title: str, values: Mapping[str, Any]) -> None:
    """Print a table of two columns: names and values."""
    shown = {what: f"{value:,}" if isinstance(value, int) else value for what, value in values.items()}
    print_rows(title, [{"what": what, "value": value} for what, value in shown.items()])


def print_line(line: str) -> None:
    """Print a line without wrapping it, so that addresses and paths in it can be copied."""
    console.print(line, soft_wrap=True)


class ProgressLines:
    """Progress as lines in the terminal, at most one in two seconds."""

    def __init__(self, noun: str, total: int, before: int = 0) -> None:
        self._noun, self._total, self._before, self._done = noun, total, before, before
        self._started = self._said = time.monotonic()

    def advance(self, count: int) -> None:
        """Count ``count`` more items as done."""
        self._done += count
        now = time.monotonic()
        if self._done < self._total and now - self._said < _SECONDS_BETWEEN:
            return
        self._said = now
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        share = self._done / self._total
        print_line(
            f"{self._done:,} of {self._total:,} {self._noun} ({share:.0%}), {rate:,.{0 if rate >= 10 else 1}f}/s, "
            f"{left:,.0f} s left"
        )
