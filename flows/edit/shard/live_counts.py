"""What an attempt at a shard has done so far, as it reports it to the flow."""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from flows.edit.ledger import Row
from flows.runtime.live_reports import Report, reporting

if TYPE_CHECKING:
    from flows.edit.shard.item import Item


def live_prefix(run_url: str) -> str:
    """What the keys of all shards of a run begin with; the number of the shard follows."""
    return f"edit {run_url} "


Add: TypeAlias = "Callable[[Iterable[Item], Mapping[str, float]], None]"
"""Counts further items as done, and receives the busy seconds of each stage so far."""


@contextlib.contextmanager
def live_counts(run_url: str, shard: int, before: Iterable[Row]) -> Iterator[Add]:
    """Report what a shard has done, while the block runs.

    A report has the fields of a :class:`flows.edit.ledger.Summary` of the same names, and the name of the attempt.

    Args:
        run_url: the run's folder.
        shard: its number.
        before: rows that this attempt does not edit again.
    """
    attempt = secrets.token_hex(4)
    counts: Counter[str] = Counter()
    sums = {"bytes_in": 0, "bytes_out": 0}
    latest: dict[str, float] = {}

    def count(rows: Iterable[Row]) -> None:
        for row in rows:
            counts[row.status] += 1
            sums["bytes_in"] += row.bytes_in or 0
            sums["bytes_out"] += row.bytes_out or 0

    def add(items: Iterable[Item], seconds: Mapping[str, float]) -> None:
        count(item.row for item in items)
        latest.update(seconds)

    def report() -> Report:
        return {"attempt": attempt, "counts": dict(counts), "seconds": dict(latest), **sums}

    count(before)
    with reporting(f"{live_prefix(run_url)}{shard}", report):
        yield add
