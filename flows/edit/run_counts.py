"""What a run has done up to now: the summaries of finished shards, and the reports of those that are at work.

A report may come from an attempt that dies, and the next attempt begins at zero. So the report with the most images
stands for its shard until the shard's summary replaces it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.edit.ledger import Summary
from flows.runtime.live_reports import Report


@dataclass
class Totals:
    """Sums over shards, with the meaning that they have in a :class:`flows.edit.ledger.Summary`.

    Attributes:
        shards: how many are ``waiting``, ``running``, ``done`` and ``lost``. One that waits for its next attempt counts
            as running.
        retries: attempts at shards besides the first ones.
    """

    counts: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    shards: dict[str, int] = field(default_factory=dict)
    retries: int = 0

    @property
    def images(self) -> int:
        """Number of inputs, whatever their status."""
        return sum(self.counts.values())


class RunCounts:
    """The counts of a flow's shards. Its methods may be called from several threads."""

    def __init__(self, shards: int) -> None:
        """Begin with so many shards, all of them waiting."""
        self._shards = shards
        self._ended = Totals()
        self._done: set[int] = set()
        self._lost: set[int] = set()
        self._best: dict[int, Report] = {}
        self._attempts: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    def follow(self, reports: Mapping[str, Report]) -> None:
        """Take in the latest report of each shard that is at work, by its number."""
        with self._lock:
            for number, report in reports.items():
                shard = int(number)
                self._attempts.setdefault(shard, set()).add(report["attempt"])
                best = self._best.get(shard)
                if shard not in self._done and (best is None or _images(report) >= _images(best)):
                    self._best[shard] = report

    def finish(self, summary: Summary) -> None:
        """A shard has its ledger."""
        with self._lock:
            last = self._best.pop(summary.shard, None)
            self._done.add(summary.shard)
            _add(self._ended, vars(summary))
            if last is not None:
                # A later attempt that found the outputs of an earlier one was busy for a shorter time.
                self._ended.seconds.update(_more(last["seconds"], summary.seconds))

    def lose(self, shard: int) -> None:
        """A shard has ended without a ledger."""
        with self._lock:
            self._lost.add(shard)

    def totals(self) -> Totals:
        """The sums at this moment."""
        with self._lock:
            ended = self._ended
            sums = Totals(Counter(ended.counts), ended.bytes_in, ended.bytes_out, Counter(ended.seconds))
            for report in self._best.values():
                _add(sums, report)
            running, done, lost = len(self._best.keys() - self._lost), len(self._done), len(self._lost)
            waiting = self._shards - running - done - lost
            sums.shards = {"waiting": waiting, "running": running, "done": done, "lost": lost}
            sums.retries = sum(len(attempts) - 1 for attempts in self._attempts.values())
            return sums


def _images(report: Report) -> int:
    return sum(report["counts"].values())


def _add(sums: Totals, one: Mapping[str, Any]) -> None:
    sums.counts.update(one["counts"])
    sums.bytes_in += one["bytes_in"]
    sums.bytes_out += one["bytes_out"]
    sums.seconds.update(one["seconds"])


def _more(last: Mapping[str, float], final: Mapping[str, float]) -> dict[str, float]:
    return {stage: max(0.0, seconds - final.get(stage, 0.0)) for stage, seconds in last.items()}
