"""The record of a trial: ``trial.json`` in its folder, beside the files of its training.

When a sweep resumes, it reads only these files. Its results are made only of them, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from flows.storage import Store

RECORD = "trial.json"
# The same name as in attgan.training.run_folder.metrics_log, whose import would load torch.
METRICS = "metrics.jsonl"
EARLY = "stop_early"
SCHEMA = 1

State = Literal["waiting", "running", "finished", "stopped_early", "diverged", "failed", "interrupted"]
SETTLED = frozenset({"finished", "stopped_early", "diverged"})


class Record(TypedDict):
    """The content of ``trial.json``.

    Attributes:
        schema: of this record.
        number: of the trial.
        changes: the searched settings and their values.
        label: the same in words.
        state: "waiting" was suggested by a search and has not begun; "running" may also have lost its process;
            "interrupted" resumes with the next command.
        reason: why it ended, on one line; empty while it runs.
        attempts: how often it began or resumed.
        node: where it ran last; None before the first attempt.
        seconds: duration of all attempts that were not killed.
        mistake: whether it failed in a way that another attempt would repeat.
    """

    schema: int
    number: int
    changes: dict[str, Any]
    label: str
    state: State
    reason: str
    attempts: int
    node: str | None
    seconds: float
    mistake: bool


def new_record(number: int, changes: Mapping[str, Any], label: str) -> Record:
    """The record of a trial that has not begun."""
    return Record(
        schema=SCHEMA,
        number=number,
        changes=dict(changes),
        label=label,
        state="waiting",
        reason="",
        attempts=0,
        node=None,
        seconds=0.0,
        mistake=False,
    )


def read_record(store: Store) -> Record | None:
    """Read a trial's record; None if there is none yet.

    Raises:
        StorageError: the storage failed for longer than its retries last.
    """
    try:
        record: Record = json.loads(store.get(RECORD).data)
    except FileNotFoundError:
        return None
    return record


def write_record(store: Store, record: Record, *, if_match: str | None = None) -> str:
    """Write a trial's record; returns its ETag.

    Args:
        store: the trial's folder.
        record: the content.
        if_match: write only if the record still has this ETag.

    Raises:
        PreconditionFailed: it has another ETag, because another process has taken the trial over.
        StorageError: the storage failed for longer than its retries last.
    """
    return store.put(RECORD, (json.dumps(record, indent=1) + "\n").encode(), if_match=if_match)


def is_settled(record: Record | None) -> bool:
    """Whether nothing is left to do: the trial has ended, or another attempt would only fail again."""
    if record is None:
        return False
    return record["state"] in SETTLED or (record["state"] == "failed" and record["mistake"])


def read_checks(store: Store) -> list[dict[str, Any]]:
    """The validations of a trial in their order, as rows of its metrics; numbers that were not finite are None.

    Raises:
        StorageError: the storage failed for longer than its retries last.
    """
    try:
        lines = store.get(METRICS).data.splitlines()
    except FileNotFoundError:
        return []
    checks = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            # The last line, which a killed process did not finish.
            break
        if row["kind"] == "check":
            checks.append(row)
    return checks


def value_of(checks: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    """The value by which a trial is compared: the metric of the weights that it keeps.

    Those are the weights with the best quality, or the last ones if the quality is unknown. None before the first
    validation of trained weights.
    """
    trained = [row for row in checks if row["step"] > 0]
    with_quality = [row for row in trained if finite(row.get("quality")) is not None]
    kept = (
        max(with_quality, key=lambda row: (row["quality"], row["step"]))
        if with_quality
        else (trained or [{}])[-1]
    )
    return finite(kept.get(metric))


def finite(value: Any) -> float | None:
    """The value if it is a finite number; else None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
