"""One row per measurement, and how it is printed."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """A measured rate, and the one it is to be compared with (its ceiling, or the usual way of doing it)."""

    what: str
    rate: float
    unit: str = "img/s"
    against: str = ""
    reference: float | None = None
    peak_mb: float | None = None
    note: str = ""


def rate(work: Callable[[], object], count: int, repeats: int = 3) -> float:
    """Items per second of ``work``, which does ``count`` of them: the median of some repeats after a warm-up."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return count / statistics.median(times)


def peak_mb() -> float:
    """The largest this process has been so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(title: str, rows: Iterable[Row]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for column, justify in _COLUMNS.items():
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*_cells(row))
    Console(width=150).print(table)


def markdown(title: str, rows: Iterable[Row]) -> str:
    """The same table in Markdown, under a heading."""
    rules = ["---:" if justify == "right" else "---" for justify in _COLUMNS.values()]
    lines = [list(_COLUMNS), rules, *map(_cells, rows)]
    return "\n".join([f"## {title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


# Title and alignment of each column.
_COLUMNS = {
    "what": "left",
    "rate": "right",
    "unit": "left",
    "ratio": "right",
    "against": "left",
    "peak MB": "right",
    "note": "left",
}


def _cells(row: Row) -> list[str]:
    ratio = f"{row.rate / row.reference:.2f}" if row.reference else ""
    against = f"{row.against} ({row.reference:,.0f})" if row.reference else row.against
    peak = f"{row.peak_mb:,.0f}" if row.peak_mb else ""
    return [row.what, f"{row.rate:,.1f}", row.unit, ratio, against, peak, row.note]
