"""What commands print: tables, lines, and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from flows.runtime import json_lines
from flows.words import lasting

_SECONDS_BETWEEN = 2.0
# The width up to which a table in a file has no broken lines.
_WIDE = 160

# Object keys may hold `[x]` or `:x:`, which rich would take for markup.
console = Console(markup=False, emoji=False, highlight=False)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], whole: Collection[str] = ()) -> None:
    """Print a table, one row for each mapping.

    No word is broken, so that URLs can be copied. If the terminal is too narrow for that, the last columns are left
    out, and a line names them. What is printed to a file is as wide as it needs to be.

    Args:
        title: above the table.
        rows: with the same keys, which head the columns.
        whole: columns whose lines are not broken either.
    """
    if json_lines.are_wanted():
        json_lines.write(sys.stdout, "INFO", title, rows=[dict(row) for row in rows])
        return
    columns = {name: [str(row[name]) for row in rows] for name in rows[0]}
    narrowest = [
        _longest([name, *values], str.splitlines if name in whole else str.split)
        for name, values in columns.items()
    ]
    widest = [_longest([name, *values], str.splitlines) for name, values in columns.items()]
    if not console.is_terminal:
        console.width = max(console.width, _width(narrowest), min(_width(widest), _WIDE))
    room = console.width
    shown = len(columns)
    while shown > 1 and _width(narrowest[:shown]) > room:
        shown -= 1
    table = Table(title=title, title_justify="left")
    for name, width in zip(columns, _widths(narrowest[:shown], widest[:shown], room), strict=False):
        table.add_column(name, width=width, overflow="fold")
    for values in zip(*list(columns.values())[:shown], strict=True):
        table.add_row(*values)
    console.print(table)
    if left_out := list(columns)[shown:]:
        print_line(f"not shown, because the terminal is too narrow: {', '.join(left_out)}")


def _longest(cells: Sequence[str], split: Callable[[str], list[str]]) -> int:
    """The width of the longest part of any cell."""
    return max(cell_len(part) for cell in cells for part in [*split(cell), ""])


def _widths(narrowest: Sequence[int], widest: Sequence[int], room: int) -> list[int]:
    """The widths of columns: the room that is left goes to those that need the least, and the rest is shared."""
    widths, left = list(narrowest), max(0, room - _width(narrowest))
    by_need = sorted(range(len(widths)), key=lambda column: widest[column] - narrowest[column])
    for place, column in enumerate(by_need):
        more = min(widest[column] - narrowest[column], left // (len(widths) - place))
        widths[column] += more
        left -= more
    return widths


def _width(columns: Sequence[int]) -> int:
    """The width of a table whose columns have these widths, with its frame."""
    return sum(columns) + 3 * len(columns) + 1


def print_mapping(title: str, values: Mapping[str, Any]) -> None:
    """Print names and values: as a table, or as lines if a value is longer than the terminal is wide."""
    if json_lines.are_wanted():
        json_lines.write(sys.stdout, "INFO", title, values=dict(values))
        return
    shown = {
        what.replace("_", " "): f"{value:,}" if isinstance(value, int) else str(value)
        for what, value in values.items()
    }
    widths = [_longest([*column, "what"], str.splitlines) for column in (shown.keys(), shown.values())]
    if _width(widths) > (console.width if console.is_terminal else _WIDE):
        print_line(title)
        for what, value in shown.items():
            print_line(f"  {what}: {value}")
        return
    print_rows(title, [{"what": what, "value": value} for what, value in shown.items()])


def print_line(line: str, **fields: str) -> None:
    """Print a line without wrapping it, so that addresses and paths in it can be copied.

    Args:
        line: the line.
        **fields: what it says, for those who read it as JSON.
    """
    if json_lines.are_wanted():
        json_lines.write(sys.stdout, "INFO", line, **fields)
        return
    console.print(line, soft_wrap=True)


class ProgressLines:
    """Progress as lines in the terminal, at most one in two seconds."""

    def __init__(self, noun: str, total: int, before: int = 0) -> None:
        self._noun, self._total, self._before, self._done = noun, total, before, before
        self._started = self._said = time.monotonic()

    def advance(self, count: int) -> None:
        """Count ``count`` more items as done."""
        self.reach(self._done + count)

    def reach(self, done: int) -> None:
        """Say how many items are done by now."""
        self._done = done
        now = time.monotonic()
        if self._done < self._total and now - self._said < _SECONDS_BETWEEN:
            return
        self._said = now
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        seconds = (self._total - self._done) / max(rate, 1e-9)
        left = f", {lasting(seconds)} left" if self._done < self._total else ""
        share = self._done / self._total
        print_line(
            f"{self._done:,} of {self._total:,} {self._noun} ({share:.0%}), {rate:,.{0 if rate >= 10 else 1}f}/s{left}"
        )
