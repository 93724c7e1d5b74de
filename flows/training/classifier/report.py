"""What a classifier's training reports: before it begins, and at its end."""

from __future__ import annotations

from typing import Any

from flows.runtime.terminal import print_line, print_rows
from flows.training.classifier.plan import ClassifierPlan


def describe(prepared: ClassifierPlan) -> dict[str, Any]:
    """What will be trained, as names and values."""
    settings, faces, config = prepared.settings, prepared.faces, prepared.bundle.config
    manifest = faces.dataset.manifest
    there = "replaces its classifier" if prepared.bundle.classifier else "has no classifier yet"
    return {
        "dataset": f"{settings.dataset} ({manifest.subset.name}, {manifest.counts.rows:,} rows)",
        "rows": f"{len(faces.training):,} to train on, {len(faces.held_out):,} held out",
        "bundle": f"{settings.bundle} ({prepared.bundle.digest[:16]}), {config.image_size} px; {there}",
        "attributes": ", ".join(config.attributes),
        "device": settings.device,
        "licence": prepared.licence,
        "destination": settings.destination,
    }


def result(prepared: ClassifierPlan, outcome: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The flow's result: the outcome, where the bundle is, and its licence line."""
    return outcome | {"bundle": prepared.settings.destination, "licence": prepared.licence}


def score_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """How well the classifier recognises each attribute on held-out faces, and the means."""
    names = ("share", "accuracy", "recall", "balanced_accuracy")
    rows = [
        {"attribute": score["attribute"]} | {name: score[name] for name in names}
        for score in result["scores"]
    ]
    means: dict[str, Any] = {"attribute": "mean"}
    for name in names:
        known = [row[name] for row in rows if row[name] is not None]
        means[name] = sum(known) / len(known) if known else None
    return [
        {
            name.replace("_", " "): "–"
            if value is None
            else f"{value:.3f}"
            if isinstance(value, float)
            else value
            for name, value in row.items()
        }
        for row in (*rows, means)
    ]


def show(result: dict[str, Any]) -> None:
    """Print a result to the terminal."""
    print_rows("Attributes of held-out faces", score_rows(result))
    print_line(
        f"ended after step {result['step']:,}: {result['reason']}; weights of step {result['best_step']:,}"
    )
    print_line(f"licence: {result['licence']}")
    print_line(f"bundle: {result['bundle']} ({result['digest'][:16]})")
