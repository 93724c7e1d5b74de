"""The result files of a sweep, made of what the trials wrote. Made again, they are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from attgan.evaluation.plots.image_grids import trials_grid
from attgan.evaluation.plots.run_curves import comparison_curves
from attgan.evaluation.plots.scatter import Point, draw_front
from attgan.training.run_folder.plain_json import plain, to_json
from flows.runtime import reporting
from flows.storage import join
from flows.sweep.plan import START, SweepPlan
from flows.sweep.prerequisites.evaluator import unpack_faces
from flows.sweep.records import EDITED, TRIALS, read_measures, read_metrics
from flows.sweep.results.best_bundle import BEST, describe_evaluator, export_best
from flows.sweep.results.display import CURVES, FACES, FRONT, number, shown
from flows.sweep.results.leaderboard import (
    LEADERBOARD,
    LEADERBOARD_CSV,
    Row,
    read_rows,
    table_of,
    to_csv,
    to_parquet,
)
from flows.sweep.results.tensorboard import write_event_files

REPORT = "report.json"
# Trials in the picture of curves, and in that of faces.
_CURVES, _COLUMNS = 12, 10


def finish(plan: SweepPlan, log: reporting.Log, seconds: float, reason: str) -> dict[str, Any]:
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
    table = table_of(rows, settings.metric, settings.second_metric)
    store.put(LEADERBOARD, to_parquet(table))
    store.put(LEADERBOARD_CSV, to_csv(table), content_type="text/csv")
    labels = unique_labels(rows)
    pictures = [_write_curves(plan, rows, labels), _write_faces(plan, rows, labels), _write_front(plan, rows)]
    write_event_files(plan, trials)
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
        "second_metric": settings.second_metric,
        "reason": reason,
        "trials": len(trials),
        "states": dict(Counter(row.state for row in rows if row.name != START)),
        "best": None if best is None else _summary(best),
        "start": None if start is None else _summary(start),
        "evaluator": None if measures is None else describe_evaluator(measures),
        "bundle": None if exported is None else join(store.url, BEST),
        "digest": None if exported is None else exported.digest,
        "licence": None if exported is None else exported.config.licence,
        "leaderboard": shown(rows, settings.metric, settings.second_metric),
        "task_runs": {row.name: row.task_run for row in rows if row.task_run},
        "pictures": [key for key in pictures if key],
        "seconds": round(seconds, 1),
    }
    store.put(REPORT, to_json(report, indent=1))
    return report


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
    if plan.settings.no_faces:
        return None
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


def _write_front(plan: SweepPlan, rows: Sequence[Row]) -> str | None:
    settings = plan.settings
    points = [
        Point(row.name, row.second, row.value, row.on_front)
        for row in rows
        if row.rank and row.value is not None and row.second is not None
    ]
    if not points:
        return None
    x, y = (
        f"{name.replace('_', ' ')}, {'higher' if mode == 'max' else 'lower'} is better"
        for name, mode in reversed(settings.modes.items())
    )
    plan.store.put(FRONT, draw_front(points, x=x, y=y), content_type="image/png")
    return FRONT


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
