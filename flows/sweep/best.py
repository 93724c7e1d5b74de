"""Write the best trial's weights as a bundle, with a card on how they were found and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attgan.models import BundleInfo, save_bundle
from attgan.models.card import read_card
from flows.storage import join, open_store
from flows.storage.bundles import inspect, open_bundle
from flows.sweep.leaderboard import Row, number
from flows.sweep.plan import SweepPlan

BEST = "best"
_HEADING = "### How it was found"
MEASURED = {
    "edit_success": "edited faces in which the evaluator sees it",
    "success_weaker": "the same, edited half as strongly",
    "success_stronger": "the same, edited one and a half times as strongly",
    "false_positives": "unedited faces in which the evaluator sees it",
    "on_reconstruction": "unchanged reconstructions in which the evaluator sees it",
    "psnr": "PSNR of the unchanged reconstruction, dB",
    "ssim": "SSIM of the unchanged reconstruction",
    "outside": "grey levels changed outside the attribute's region, against the face",
    "outside_reconstruction": "the same, against the unchanged reconstruction",
    "kept_attributes": "other attributes that the evaluator sees as before",
}


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
    filesystem, path = open_store(join(plan.store.url, BEST), option="--destination").filesystem()
    return save_bundle(
        path,
        generator=bundle.generator,
        discriminator=bundle.discriminator,
        classifier=bundle.classifier,
        attributes=bundle.config.attributes,
        licence=bundle.config.licence,
        about=f"{about}\n\n{_HEADING}\n\n{_found(plan, row, trials)}{_measured(row, start, measures)}",
        metrics={f"held out: {name.replace('_', ' ')}": value for name, value in metrics.items()},
        dtype=bundle.config.dtype,
        overwrite=True,
        filesystem=filesystem,
        label=f"--destination {plan.store.url}",
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
        f"those without (balanced accuracy {balanced}, {evaluator['faces']:,} {_of(measures)} faces)"
    )


def _of(measures: Mapping[str, Any]) -> str:
    """The partition, as an adjective for faces."""
    return str(measures["partition"]).replace(" ", "-")


def _found(plan: SweepPlan, row: Row, trials: int) -> str:
    settings = plan.settings
    order = "highest" if settings.mode == "max" else "lowest"
    searched = ", ".join(name for name in row.changes) or "nothing"
    return (
        f"Trial {row.name} ({row.label}) of a sweep of {trials:,} trials, preset *{settings.preset}*, search "
        f"*{settings.search}*, over: {searched}. Its {settings.metric.replace('_', ' ')} on held-out faces is the "
        f"{order} of those compared: {number(row.value)}, after step {row.best_step:,}. {_start(plan)}"
    )


def _start(plan: SweepPlan) -> str:
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
        f"\n\nMeasured on {measures['measured']['faces']:,} {_of(measures)} faces without "
        f"{measures['made_of']['attribute']}, {seen}, edited to have it:\n\n{table}\n\n"
        f"What edits show, here and in the metrics below, is predicted by an evaluator: {describe_evaluator(measures)}."
    )
