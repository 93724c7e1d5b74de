"""The leaderboard: one row for each trial, read only from the files that the trial wrote."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from flows.settings.sweep import Mode
from flows.storage import join, open_store
from flows.storage.bundles import inspect
from flows.sweep.plan import START, SweepPlan, Trial
from flows.sweep.records import (
    WITHOUT_RESULT,
    finite,
    kept_weights,
    new_record,
    numbers_of,
    read_measures,
    read_record,
    read_validations,
)

LEADERBOARD = "leaderboard.parquet"
LEADERBOARD_CSV = "leaderboard.csv"
_UNRANKED = WITHOUT_RESULT | {"waiting"}


@dataclass(frozen=True)
class Row:
    """A trial, or the starting bundle.

    Attributes:
        name: "003", or "start".
        label: the settings in which it differs.
        state: as in its record.
        changes: the settings that are searched.
        value: the sweep's metric at the validation of the kept weights; None if unknown.
        second: the sweep's second metric at the same validation; None if unknown or if there is none.
        on_front: whether no other ranked trial is better in one of the two metrics and at least as good in the other.
        rank: 1 for the best; None for the starting bundle, and for trials that failed, diverged or have no value.
        reason: why it ended.
        step: steps done.
        best_step: after which the kept weights were saved.
        held_out: all numbers of that validation.
        test: measured on the fixed test faces.
        evaluator: the evaluator's own accuracy.
        bundle: URL of the kept weights.
        digest: of that bundle.
        seconds, attempts, node, task_run: as in its record.
    """

    name: str
    label: str
    state: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    second: float | None = None
    on_front: bool = False
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
    task_run: str | None = None


def read_rows(plan: SweepPlan, trials: Sequence[Trial]) -> list[Row]:
    """The starting bundle first, then the trials from the best to the worst, then those without a rank.

    Args:
        plan: of the sweep.
        trials: all of its trials.
    """
    start = _read_start(plan, trials)
    modes = list(plan.settings.modes.values())
    rows = ranked([_read_row(trial, list(plan.settings.modes)) for trial in trials], modes[0])
    if len(modes) > 1:
        rows = with_front(rows, *modes)
    return [start, *rows] if start else rows


def ranked(rows: Sequence[Row], mode: Mode) -> list[Row]:
    """Sort rows by their value and number them. Those that failed, diverged or have no value come last, unranked."""
    able = [row for row in rows if row.value is not None and row.bundle and row.state not in _UNRANKED]
    others = [row for row in rows if row not in able]
    able.sort(key=lambda row: sort_value(row.value, mode))
    return [replace(row, rank=rank) for rank, row in enumerate(able, start=1)] + others


def with_front(rows: Sequence[Row], mode: Mode, second: Mode) -> list[Row]:
    """The rows, with those marked that are on the Pareto front of both metrics."""

    def key(row: Row) -> tuple[float, float]:
        return sort_value(row.value, mode), sort_value(row.second, second)

    able = [row for row in rows if row.rank and row.second is not None]

    def beaten(row: Row) -> bool:
        first, other = key(row)
        return any(a <= first and b <= other and (a, b) != (first, other) for a, b in map(key, able))

    front = {row.name for row in able if not beaten(row)}
    return [replace(row, on_front=row.name in front) for row in rows]


def table_of(rows: Sequence[Row], metric: str, second: str | None = None) -> pa.Table:
    """All rows with all their numbers; unknown ones are null.

    Columns: ``rank, trial, label, state, metric, value, step, best_step``; with a second metric ``second_metric,
    second_value, on_front``; ``set_…`` for each setting that is searched; ``held_out_…`` of the validation, ``test_…``
    of the fixed test faces, ``evaluator_…`` its own accuracy; ``seconds, attempts, node, reason, bundle, digest``.
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
    if second is not None:
        columns |= {
            "second_metric": [second for _ in rows],
            "second_value": [row.second for row in rows],
            "on_front": [row.on_front for row in rows],
        }
    groups = {"set": "changes", "held_out": "held_out", "test": "test", "evaluator": "evaluator"}
    for prefix, attribute in groups.items():
        mappings = [getattr(row, attribute) for row in rows]
        for name in dict.fromkeys(name for mapping in mappings for name in mapping):
            columns[f"{prefix}_{name}"] = [mapping.get(name) for mapping in mappings]
    for name in ("seconds", "attempts", "node", "reason", "bundle", "digest"):
        columns[name] = [getattr(row, name) for row in rows]
    return pa.table({name: _array(values) for name, values in columns.items()})


def to_parquet(table: pa.Table) -> bytes:
    """The content of ``leaderboard.parquet``."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def to_csv(table: pa.Table) -> bytes:
    """The content of ``leaderboard.csv``: the same columns, with their names in the first line."""
    buffer = io.BytesIO()
    pc.write_csv(table, buffer)
    return buffer.getvalue()


def _read_row(trial: Trial, metrics: Sequence[str]) -> Row:
    store = open_store(trial.url, option="--destination")
    record, checks, kept = read_record(store), read_validations(store), kept_weights(store)
    record = record or new_record(trial.number, trial.changes, trial.label)
    held_out = numbers_of(next((check for check in checks if kept and check["step"] == kept.step), {}))
    bundle = join(trial.url, kept.path) if kept else None
    digest = inspect(bundle).digest if bundle else None
    numbers = held_out | {"steps": kept.step if kept else None}
    value, second, *_ = [*(finite(numbers.get(metric)) for metric in metrics), None]
    return Row(
        name=trial.name,
        label=trial.label,
        state=record["state"],
        changes=trial.changes,
        value=value,
        second=second,
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
        task_run=record.get("task_run"),
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
        state="unchanged",
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
