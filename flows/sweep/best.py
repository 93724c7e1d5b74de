"""The best trial's weights as a bundle of their own, whose card says how they were found and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attgan.models import BundleInfo, save_bundle
from attgan.models.card import read_card
from flows.storage import join, open_store
from flows.storage.bundles import inspect, open_bundle
from flows.sweep.leaderboard import Row, number
from flows.sweep.plan import Plan

BEST = "best"
_HEADING = "### How it was found"
MEASURED = {
    "edit_success": "edited faces in which the judge sees it",
    "success_weaker": "the same, edited half as strongly",
    "success_stronger": "the same, edited one and a half times as strongly",
    "false_positives": "the faces as they were, in which the judge sees it",
    "on_reconstruction": "unchanged reconstructions in which the judge sees it",
    "psnr": "PSNR of the unchanged reconstruction, dB",
    "ssim": "SSIM of the unchanged reconstruction",
    "outside": "grey levels changed outside the attribute's region, against the face",
    "outside_reconstruction": "the same, against the unchanged reconstruction",
    "kept_attributes": "other attributes that the judge sees as before",
}


def export_best(
    plan: Plan, row: Row, start: Row | None, trials: int, measures: Mapping[str, Any] | None
) -> BundleInfo:
    """Write the bundle ``best/``, in place of one that an earlier call wrote.

    Args:
        plan: of the sweep.
        row: the best trial's.
        start: the starting bundle's; None from scratch.
        trials: how many were compared.
        measures: content of the trial's ``measures.json``; None where it has not been measured.

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


def judge_words(measures: Mapping[str, Any]) -> str:
    """The judge, and how often it is right by itself: what stands beside every number that is its word."""
    judge, attribute = measures["judge"], measures["made_of"]["attribute"]
    found, wrong, balanced = (
        "–" if judge[name] is None else f"{judge[name]:.1%}"
        for name in ("recall", "false_positives", "balanced_accuracy")
    )
    return (
        f"{judge['about']}; by itself it sees {attribute} in {found} of the unedited faces with it and in {wrong} of "
        f"those without (balanced accuracy {balanced}, {judge['faces']:,} {_of(measures)} faces)"
    )


def _of(measures: Mapping[str, Any]) -> str:
    """The partition, as a word before faces."""
    return str(measures["partition"]).replace(" ", "-")


def _found(plan: Plan, row: Row, trials: int) -> str:
    settings = plan.settings
    order = "highest" if settings.mode == "max" else "lowest"
    searched = ", ".join(name for name in row.changes) or "nothing"
    return (
        f"Trial {row.name} ({row.label}) of a sweep of {trials:,} trials, preset *{settings.preset}*, search "
        f"*{settings.search}*, over: {searched}. Its {settings.metric.replace('_', ' ')} on held-out faces is the "
        f"{order} of those compared: {number(row.value)}, after step {row.best_step:,}. {_start(plan)}"
    )


def _start(plan: Plan) -> str:
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
        f"What is seen here and in the metrics below is the word of a judge: {judge_words(measures)}."
    )
