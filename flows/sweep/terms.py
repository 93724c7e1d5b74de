"""On what terms a sweep's weights may be used: those that it starts from, and its judge's."""

from __future__ import annotations

from flows.storage.bundles import inspect
from flows.sweep.plan import Places
from flows.training.evaluators import open_evaluator


def licence_lines(places: Places) -> list[str]:
    """A line for the starting bundle, and one for a judge that has a licence of its own.

    Raises:
        UserError: one of them is not there, or damaged.
        StorageError: what else the storage reports.
    """
    lines = []
    if places.bundle is not None:
        start = inspect(places.bundle)
        lines.append(f"starts with the bundle {places.bundle} ({start.digest[:16]}): {start.config.licence}")
    if places.judge is not None:
        judge = open_evaluator(places.judge)
        if judge.licence is not None and not any(judge.licence in line for line in lines):
            lines.append(f"edits are judged by {places.judge} ({judge.digest[:16]}): {judge.licence}")
    return lines
