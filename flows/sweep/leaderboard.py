"""The leaderboard: one row for each trial, read only from the files that the trial wrote."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from flows.runtime import reporting
from flows.runtime.terminal import console, print_line, print_rows
from flows.storage import join, open_store
from flows.storage.bundles import inspect
from flows.sweep.plan import START, SweepPlan, Trial
from flows.sweep.records import (
    finite,
    kept_weights,
    new_record,
    numbers_of,
    read_measures,
    read_record,
    read_validations,
)

Mode = Literal["max", "min"]
LEADERBOARD = "leaderboard.parquet"
CURVES = "curves.png"
FACES = "faces.jpg"
TENSORBOARD = "tensorboard"
UNKNOWN = "–"
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
# Columns of a terminal that a whole leaderboard fits into.
_WIDE_TERMINAL = 130
_PICTURES = {
    CURVES: "Losses and validations of all trials",
    FACES: "The same faces, edited by each trial",
}
_UNRANKED = frozenset({"failed", "diverged", "waiting"})


@dataclass(frozen=True)
class Row:
    """A trial, or the starting bundle.

    Attributes:
        name: "003", or "start".
        label: the settings in which it differs.
        state: as in its record.
        changes: the settings that are searched.
        value: the sweep's metric at the validation of the kept weights; None if unknown.
        rank: 1 for the best; None for the starting bundle, and for trials that failed, diverged or have no value.
        reason: why it ended.
        step: steps done.
        best_step: after which the kept weights were saved.
        held_out: all numbers of that validation.
        test: measured on the fixed test faces.
        evaluator: the evaluator's own accuracy.
        bundle: URL of the kept weights.
        digest: of that bundle.
        seconds, attempts, node: as in its record.
    """

    name: str
    label: str
    state: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    rank: int | None = None
    reason: str = ""
    step: int = 0
    best_step: int | None = None
    held_out: Mapping[str, float | None] = field(default_factory=dict)
    test: Mapping[str, float | None] = field(default_factory=dict)
    evaluator: Mapping[str, float | None] = field(default_factory=dict)
    bundle: str | None = None
    digest: str | None = None
    seconds: float | None = None
    attempts: int | None = None
    node: str | None = None


def read_rows(plan: SweepPlan, trials: Sequence[Trial]) -> list[Row]:
    """The starting bundle first, then the trials from the best to the worst, then those without a rank.

    Args:
        plan: of the sweep.
        trials: all of its trials.
    """
    start = _read_start(plan, trials)
    rows = ranked([_read_row(trial, plan.settings.metric) for trial in trials], plan.settings.mode)
    return [start, *rows] if start else rows


def ranked(rows: Sequence[Row], mode: Mode) -> list[Row]:
    """Sort rows by their value and number them. Those that failed, diverged or have no value come last, unranked."""
    able = [row for row in rows if row.value is not None and row.bundle and row.state not in _UNRANKED]
    others = [row for row in rows if row not in able]
    able.sort(key=lambda row: sort_value(row.value, mode))
    return [replace(row, rank=rank) for rank, row in enumerate(able, start=1)] + others


def to_parquet(rows: Sequence[Row], metric: str) -> bytes:
    """All rows with all their numbers; unknown ones are null.

    Columns: ``rank, trial, label, state, metric, value, step, best_step``; ``set_…`` for each setting that is
    searched; ``held_out_…`` of the validation, ``test_…`` of the fixed test faces, ``evaluator_…`` its own
    accuracy; ``seconds, attempts, node, reason, bundle, digest``.
    """
    columns: dict[str, list[Any]] = {
        "rank": [row.rank for row in rows],
        "trial": [row.name for row in rows],
        "label": [row.label for row in rows],
        "state": [row.state for row in rows],
        "metric": [metric for _ in rows],
        "value": [row.value for row in rows],
        "step": [row.step for row in rows],
        "best_step": [row.best_step for row in rows],
    }
    groups = {"set": "changes", "held_out": "held_out", "test": "test", "evaluator": "evaluator"}
    for prefix, attribute in groups.items():
        mappings = [getattr(row, attribute) for row in rows]
        for name in dict.fromkeys(name for mapping in mappings for name in mapping):
            columns[f"{prefix}_{name}"] = [mapping.get(name) for mapping in mappings]
    for name in ("seconds", "attempts", "node", "reason", "bundle", "digest"):
        columns[name] = [getattr(row, name) for row in rows]
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: _array(values) for name, values in columns.items()}), buffer)
    return buffer.getvalue()


def shown(rows: Sequence[Row], metric: str) -> list[dict[str, str]]:
    """The rows as a table for display."""
    return [
        {
            "rank": str(row.rank or UNKNOWN),
            "trial": row.name,
            "settings": row.label,
            "state": row.state.replace("_", " "),
            metric.replace("_", " "): number(row.value),
            "steps": f"{row.step:,}" + (f", best {row.best_step:,}" if row.best_step else ""),
            "edits seen": number(row.test.get("edit_success")),
            "PSNR, dB": number(row.test.get("psnr")),
            "SSIM": number(row.test.get("ssim")),
            "changed outside": number(row.test.get("outside")),
            "seconds": number(row.seconds),
        }
        for row in rows
    ]


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    return UNKNOWN if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show_artifacts(report: dict[str, Any]) -> None:
    """Show leaderboard, the best trial's measurements, curves and faces as artifacts of the flow run."""
    store = open_store(report["sweep"], option="--destination")
    evaluator = f"; evaluator: {report['evaluator']}" if report["evaluator"] else ""
    reporting.table("sweep-leaderboard", report["leaderboard"], _caption(report) + evaluator)
    if report["best"] is not None:
        reporting.table("sweep-result", measure_rows(report), f"The best trial, {report['bundle']}")
    for key in report["pictures"]:
        reporting.picture(
            f"sweep-{key.partition('.')[0]}", store.get(key).data, f"{_PICTURES[key]}, {store.url}"
        )


def show(report: dict[str, Any]) -> None:
    """Print a report to the terminal."""
    print_rows(_caption(report), _fitting(report["leaderboard"], report["metric"]))
    if report["best"] is None:
        print_line(f"{report['reason']}; no trial kept weights that can be compared")
    else:
        print_rows(f"The best trial: {report['best']['label']}", measure_rows(report))
        print_line(f"best bundle: {report['bundle']} ({report['digest'][:16]})")
        print_line(f"licence: {report['licence']}")
    if report["evaluator"]:
        print_line(f"evaluator: {report['evaluator']}")
    places = [*report["pictures"], LEADERBOARD]
    print_line(f"pictures and tables: {', '.join(join(report['sweep'], key) for key in places)}")
    print_line(f"curves for TensorBoard: {join(report['sweep'], TENSORBOARD)}")


def measure_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """The best trial's measurements beside those of the starting bundle."""
    best, start = report["best"], report["start"]
    metric = report["metric"]
    rows = [{"measure": f"{metric.replace('_', ' ')}, held out", "best": number(best["value"])}]
    rows += [{"measure": words, "best": number(best["test"].get(name))} for name, words in MEASURED.items()]
    if start is not None:
        values = [start["value"], *(start["test"].get(name) for name in MEASURED)]
        rows = [row | {"start": number(value)} for row, value in zip(rows, values, strict=True)]
    return rows


def _fitting(rows: list[dict[str, str]], metric: str) -> list[dict[str, str]]:
    """All columns, or in a narrow terminal the most important ones; rows without a rank show their state instead."""
    if console.width >= _WIDE_TERMINAL:
        return rows
    shown = ("trial", "settings", metric.replace("_", " "), "edits seen", "SSIM", "changed outside")
    return [
        {"rank": row["rank"] if row["rank"] != UNKNOWN else row["state"]}
        | {name: row[name] for name in shown}
        for row in rows
    ]


def _caption(report: dict[str, Any]) -> str:
    states = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in report["states"].items())
    return f"Leaderboard by {report['metric'].replace('_', ' ')}: {report['trials']:,} trials, {states}"


def _read_row(trial: Trial, metric: str) -> Row:
    store = open_store(trial.url, option="--destination")
    record, checks, kept = read_record(store), read_validations(store), kept_weights(store)
    record = record or new_record(trial.number, trial.changes, trial.label)
    held_out = numbers_of(next((check for check in checks if kept and check["step"] == kept.step), {}))
    bundle = join(trial.url, kept.path) if kept else None
    digest = inspect(bundle).digest if bundle else None
    return Row(
        name=trial.name,
        label=trial.label,
        state=record["state"],
        changes=trial.changes,
        value=finite(held_out.get(metric)),
        reason=record["reason"],
        step=(kept.steps if kept else None) or max((check["step"] for check in checks), default=0),
        best_step=kept.step if kept else None,
        held_out=held_out,
        **_measured(read_measures(store), digest),
        bundle=bundle,
        digest=digest,
        seconds=record["seconds"],
        attempts=record["attempts"],
        node=record["node"],
    )


def _read_start(plan: SweepPlan, trials: Sequence[Trial]) -> Row | None:
    """The row of the starting bundle, which the first trial validated before its first step; None from scratch."""
    url = plan.places.bundle
    if url is None:
        return None
    stores = (open_store(trial.url, option="--destination") for trial in trials)
    checks = (check for store in stores for check in read_validations(store))
    held_out = numbers_of(next((check for check in checks if check["step"] == 0), {}))
    digest = inspect(url).digest
    return Row(
        name=START,
        label="the starting bundle",
        state="as it came",
        value=finite(held_out.get(plan.settings.metric)),
        held_out=held_out,
        **_measured(read_measures(open_store(join(plan.store.url, START), option="--destination")), digest),
        bundle=url,
        digest=digest,
    )


def _measured(measures: Mapping[str, Any] | None, digest: str | None) -> dict[str, Any]:
    """The measurements of these weights; nothing if they are of weights that the trial had before."""
    if measures is None or measures["made_of"]["bundle"] != digest:
        return {}
    evaluator = {name: value for name, value in measures["evaluator"].items() if name != "about"}
    return {"test": measures["measured"], "evaluator": evaluator}


def sort_value(value: float | None, mode: Mode) -> float:
    """A sort key: the best value comes first, unknown ones last."""
    return math.inf if value is None else -value if mode == "max" else value


def _array(values: Sequence[Any]) -> pa.Array:
    """A column of these values, or of their JSON if they have several types."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else json.dumps(value) for value in values])
