"""The licence lines of a sweep: of the bundle that it starts from, and of its evaluator."""

from __future__ import annotations

from flows.storage.bundles import inspect
from flows.sweep.plan import Places
from flows.training.evaluators import open_evaluator


def licence_lines(places: Places) -> list[str]:
    """One line for the starting bundle, and one for an evaluator that has another licence.

    Raises:
        UserError: one of them is missing or damaged.
        StorageError: the storage failed.
    """
    lines = []
    if places.bundle is not None:
        start = inspect(places.bundle)
        lines.append(f"starts with the bundle {places.bundle} ({start.digest[:16]}): {start.config.licence}")
    if places.judge is not None:
        evaluator = open_evaluator(places.judge)
        if evaluator.licence is not None and not any(evaluator.licence in line for line in lines):
            lines.append(f"edits are scored by {places.judge} ({evaluator.digest[:16]}): {evaluator.licence}")
    return lines
