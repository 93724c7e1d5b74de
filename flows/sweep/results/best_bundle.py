"""The bundle of the best trial, with a card that says how it was found and what it was measured to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attgan.models import BundleInfo
from attgan.models.card import read_card
from flows.storage import join
from flows.storage.bundles import inspect, open_bundle, save_copy
from flows.sweep.plan import SweepPlan
from flows.sweep.results.display import MEASURED, number
from flows.sweep.results.leaderboard import Row

BEST = "best"
_HEADING = "### How it was found"


def export_best(
    plan: SweepPlan, row: Row, start: Row | None, trials: int, measures: Mapping[str, Any] | None
) -> BundleInfo:
    """Write the bundle ``best/``, and replace the one that an earlier call wrote.

    Args:
        plan: of the sweep.
        row: of the best trial.
        start: of the starting bundle; None from scratch.
        trials: the number of trials that were compared.
        measures: the content of the trial's ``measures.json``; None if it has not been measured.

    Raises:
        UserError: the trial's bundle is damaged.
        StorageError: the storage failed after its retries.
    """
    assert row.bundle is not None
    bundle = open_bundle(row.bundle)
    about, metrics = read_card(bundle.card)
    return save_copy(
        bundle,
        join(plan.store.url, BEST),
        about=f"{about}\n\n{_HEADING}\n\n{_how_found(plan, row, trials)}{_measured(row, start, measures)}",
        metrics={f"held out: {name.replace('_', ' ')}": value for name, value in metrics.items()},
        overwrite=True,
    )


def describe_evaluator(measures: Mapping[str, Any]) -> str:
    """Describe the evaluator and its own accuracy, which belongs beside every number that it decides."""
    evaluator, attribute = measures["evaluator"], measures["made_of"]["attribute"]
    found, wrong, balanced = (
        "–" if evaluator[name] is None else f"{evaluator[name]:.1%}"
        for name in ("recall", "false_positives", "balanced_accuracy")
    )
    return (
        f"{evaluator['about']}; it sees {attribute} in {found} of the unedited faces with it and in {wrong} of "
        f"those without (balanced accuracy {balanced}, {evaluator['faces']:,} {_partition(measures)} faces)"
    )


def _partition(measures: Mapping[str, Any]) -> str:
    """The partition, as an adjective for faces."""
    return str(measures["partition"]).replace(" ", "-")


def _how_found(plan: SweepPlan, row: Row, trials: int) -> str:
    settings = plan.settings
    order = "highest" if settings.mode == "max" else "lowest"
    searched = ", ".join(name for name in row.changes) or "nothing"
    return (
        f"Trial {row.name} ({row.label}) of a sweep of {trials:,} trials, preset *{settings.preset}*, search "
        f"*{settings.search}*, over: {searched}. Its {settings.metric.replace('_', ' ')} on held-out faces is the "
        f"{order} of those compared: {number(row.value)}, after step {row.best_step:,}. {_describe_start(plan)}"
    )


def _describe_start(plan: SweepPlan) -> str:
    if plan.settings.bundle is None:
        return "It started from fresh networks."
    words = f"It started from the bundle whose digest is `{inspect(plan.settings.bundle).digest}`"
    aligned = plan.places.bundle != plan.settings.bundle
    return words + (", with a discriminator that was aligned with it first." if aligned else ".")


def _measured(row: Row, start: Row | None, measures: Mapping[str, Any] | None) -> str:
    if measures is None:
        return ""
    seen = (
        "which no trial has seen" if measures["partition"] == "test" else "by which the best step was chosen"
    )
    columns = {"this bundle": row} | ({"the starting bundle": start} if start else {})
    lines = [f"| measure | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name, words in MEASURED.items():
        values = " | ".join(number(column.test.get(name)) for column in columns.values())
        lines.append(f"| {words} | {values} |")
    table = "\n".join(lines)
    return (
        f"\n\nMeasured on {measures['measured']['faces']:,} {_partition(measures)} faces without "
        f"{measures['made_of']['attribute']}, {seen}, edited to have it:\n\n{table}\n\n"
        f"What edits show, here and in the metrics below, is predicted by an evaluator: {describe_evaluator(measures)}."
    )
