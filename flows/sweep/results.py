"""The results of a sweep: files beside the trials, made of what the trials wrote. Made again, they are the same."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import hparams

from attgan.evaluation.plots.image_grids import trials_grid
from attgan.evaluation.plots.run_curves import comparison_curves
from attgan.training.run_folder.plain_json import plain, to_json
from flows.runtime import reporting
from flows.runtime.terminal import console, print_line, print_rows
from flows.storage import join, open_store
from flows.sweep.best import BEST, MEASURED, describe_evaluator, export_best
from flows.sweep.evaluator import unpack_faces
from flows.sweep.leaderboard import UNKNOWN, Row, number, read_rows, shown, to_parquet
from flows.sweep.plan import START, TRIALS, SweepPlan, Trial
from flows.sweep.records import EDITED, read_measures, read_metrics

LEADERBOARD = "leaderboard.parquet"
CURVES = "curves.png"
FACES = "faces.jpg"
TENSORBOARD = "tensorboard"
REPORT = "report.json"
# Trials in the picture of curves, and in that of faces.
_CURVES, _COLUMNS = 12, 10
# TensorBoard recognises an event file by the middle of its name.
EVENT_FILE = "events.out.tfevents.0.attgan"
_VERSION = "brain.Event:2"
_NO_NUMBERS = frozenset({"kind", "network", "step"})
# Columns of a terminal that a whole leaderboard fits into.
_WIDE_TERMINAL = 130
_PICTURES = {
    CURVES: "Losses and validations of all trials",
    FACES: "The same faces, edited by each trial",
}


def finish(plan: SweepPlan, log: reporting.Log, *, seconds: float, reason: str) -> dict[str, Any]:
    """Compare the trials, and write leaderboard, curves, faces, the best bundle and TensorBoard's files.

    Args:
        plan: of the sweep, whose trials have ended and been measured.
        log: of the flow run.
        seconds: that this command took.
        reason: why the sweep ended.

    Returns:
        The content of ``report.json``, which is written last.

    Raises:
        UserError: the best trial's bundle is damaged.
        StorageError: the storage failed after its retries.
    """
    store, settings, trials = plan.store, plan.settings, plan.all_trials()
    rows = read_rows(plan, trials)
    store.put(LEADERBOARD, to_parquet(rows, settings.metric))
    labels = unique_labels(rows)
    pictures = [_write_curves(plan, rows, labels), _write_faces(plan, rows, labels)]
    _write_tensorboard(plan, trials)
    start = next((row for row in rows if row.name == START), None)
    best = next((row for row in rows if row.rank == 1), None)
    measures = read_measures(plan.folder(int(best.name))) if best else None
    exported = export_best(plan, best, start, len(trials), measures) if best else None
    if exported is None:
        log.warning("no trial kept weights that can be compared, so there is no best bundle")
    report = {
        "sweep": store.url,
        "preset": settings.preset,
        "search": settings.search,
        "metric": settings.metric,
        "mode": settings.mode,
        "reason": reason,
        "trials": len(trials),
        "states": dict(Counter(row.state for row in rows if row.name != START)),
        "best": None if best is None else _summary(best),
        "start": None if start is None else _summary(start),
        "evaluator": None if measures is None else describe_evaluator(measures),
        "bundle": None if exported is None else join(store.url, BEST),
        "digest": None if exported is None else exported.digest,
        "licence": None if exported is None else exported.config.licence,
        "leaderboard": shown(rows, settings.metric),
        "pictures": [key for key in pictures if key],
        "seconds": round(seconds, 1),
    }
    store.put(REPORT, to_json(report, indent=1))
    return report


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


def unique_labels(rows: Sequence[Row]) -> dict[str, str]:
    """The label of each row in the pictures, with its name in front if another row has the same label."""
    counts = Counter(row.label for row in rows)
    return {row.name: row.label if counts[row.label] == 1 else f"{row.name} {row.label}" for row in rows}


def _pictured(rows: Sequence[Row], at_most: int) -> list[Row]:
    """The best trials, or all if they are few, in the order of their numbers."""
    return sorted([row for row in rows if row.name != START][:at_most], key=lambda row: row.name)


def _write_curves(plan: SweepPlan, rows: Sequence[Row], labels: dict[str, str]) -> str | None:
    rows_of = {labels[row.name]: read_metrics(plan.folder(int(row.name))) for row in _pictured(rows, _CURVES)}
    rows_of = {label: metrics for label, metrics in rows_of.items() if metrics}
    if not rows_of:
        return None
    plan.store.put(CURVES, comparison_curves(rows_of), content_type="image/png")
    return CURVES


def _write_faces(plan: SweepPlan, rows: Sequence[Row], labels: dict[str, str]) -> str | None:
    originals, columns = None, []
    for row in [*(row for row in rows if row.name == START), *_pictured(rows, _COLUMNS)]:
        if not row.test:
            # It kept no weights, or could not be measured.
            continue
        place = START if row.name == START else f"{TRIALS}/{row.name}"
        originals, edited = unpack_faces(plan.store.get(f"{place}/{EDITED}").data)
        words = f"seen {number(row.test.get('edit_success'))}, SSIM {number(row.test.get('ssim'))}"
        columns.append((f"{labels[row.name]}: {words}", edited))
    if originals is None:
        return None
    plan.store.put(FACES, trials_grid(originals, columns), content_type="image/jpeg")
    return FACES


def _write_tensorboard(plan: SweepPlan, trials: Sequence[Trial]) -> None:
    for trial in trials:
        metrics = read_metrics(plan.folder(trial.number))
        if metrics:
            content = event_file(metrics, trial.changes, [f"held out/{plan.settings.metric}"])
            plan.store.put(f"{TENSORBOARD}/{trial.name}/{EVENT_FILE}", content)


def _summary(row: Row) -> dict[str, Any]:
    return plain(
        {
            "trial": row.name,
            "label": row.label,
            "settings": dict(row.changes),
            "value": row.value,
            "step": row.best_step,
            "held_out": dict(row.held_out),
            "test": dict(row.test),
            "digest": row.digest,
        }
    )


def event_file(
    rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], measured: Sequence[str]
) -> bytes:
    """The content of an event file for TensorBoard: a trial's metrics, with its settings for the HPARAMS page.

    It depends on the rows alone, so that a sweep that resumes writes the same file. The time that TensorBoard needs for
    each number is the step, in seconds.

    Args:
        rows: of a run's ``metrics.jsonl``, in their order.
        settings: in which the trial differs from others.
        measured: names, as in :func:`scalars`, of the numbers that HPARAMS lists beside the settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, EVENT_FILE)
        writer = RecordWriter(str(path))
        writer.write(Event(file_version=_VERSION).SerializeToString())
        for summary in hparams({name: _plain(value) for name, value in settings.items()}, measured):
            writer.write(Event(summary=summary).SerializeToString())
        for row in rows:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(row).items()]
            event = Event(wall_time=row["step"], step=row["step"], summary=Summary(value=values))
            writer.write(event.SerializeToString())
        writer.close()
        return path.read_bytes()


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by their names in TensorBoard: ``generator/total``, ``held out/quality``."""
    group = row.get("network", "held out")
    return {
        f"{group}/{name}": value
        for name, value in row.items()
        if name not in _NO_NUMBERS and value is not None
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
