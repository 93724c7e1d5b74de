"""Which failed inputs are left to ``--retry-failed``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow.compute as pc

from flows.edit.plan.done import read_outcomes
from flows.edit.plan.runs import ListedRun

# Ledgers that are read at a time, and so in memory.
_PARALLEL = 16


def runs_to_retry(runs: Sequence[ListedRun], fingerprint: str) -> Iterator[tuple[ListedRun, set[str]]]:
    """The runs of a lineage that have failed inputs left, the last one first.

    Yields:
        Each run, and the inputs that a new run has to edit, because this one has another fingerprint, or because others
        of its failures were mended by another run. Without any the run itself continues: as its own retry, or as a new
        run for such inputs that has not finished.
    """
    for listed in reversed(runs):
        is_same = listed.run.fingerprint == fingerprint
        if not listed.is_finished:
            if is_same and listed.run.settings.retry_failed:
                yield listed, set()
        elif listed.failed():
            left, mended = _left(listed, runs)
            if is_same and not mended:
                yield listed, set()
            elif left:
                yield listed, left


def _left(failing: ListedRun, runs: Sequence[ListedRun]) -> tuple[set[str], bool]:
    """The inputs that failed in a run and in their lineage's later ledgers, and whether other runs mended others."""
    first = min(failing.ledgers.values(), default=0)
    later = sorted(
        (written, key, listed)
        for listed in runs
        for key, written in listed.ledgers.items()
        if written >= first
    )
    left: set[str] = set()
    mended = False
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for start in range(0, len(later), _PARALLEL):
            some = later[start : start + _PARALLEL]
            read = pool.map(lambda ledger: read_outcomes(ledger[2], ledger[1]), some)
            for (_, _, listed), rows in zip(some, read, strict=True):
                has_failed = pc.equal(rows["status"], "failed")
                done = left.intersection(rows.filter(pc.invert(has_failed))["key"].to_pylist())
                left -= done
                if listed is failing:
                    left.update(rows.filter(has_failed)["key"].to_pylist())
                else:
                    mended |= bool(done)
    return left, mended
