"""What a trial's folder says of the trial: ``trial.json``, beside the files of its training.

These files are all that a sweep knows of its trials when it is taken up again, and all that its results are made of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from flows.storage import Store

RECORD = "trial.json"
METRICS = "metrics.jsonl"  # attgan.training.run_folder.metrics_log's, without loading torch
EARLY = "stop_early"
SCHEMA = 1

State = Literal["waiting", "running", "finished", "stopped_early", "diverged", "failed", "interrupted"]
SETTLED = frozenset({"finished", "stopped_early", "diverged"})


class Record(TypedDict):
    """The content of ``trial.json``.

    Attributes:
        schema: of this record.
        number: of the trial.
        changes: in which settings it differs from the sweep's.
        label: the same in words.
        state: "waiting" was suggested by a search and not begun; "running" may also have lost its process;
            "interrupted" goes on with the next command.
        reason: why it ended, one line; empty while it runs.
        attempts: how often it was begun or taken up.
        node: where it was the last time; None before the first.
        seconds: that it took, the attempts that ended in good order.
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
    """Of a trial that nobody has begun."""
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
    """What a trial's folder says; None where nobody has written there yet.

    Raises:
        StorageError: the storage failed for longer than its retries last.
    """
    try:
        record: Record = json.loads(store.get(RECORD).data)
    except FileNotFoundError:
        return None
    return record


def write_record(store: Store, record: Record, *, if_match: str | None = None) -> str:
    """Write it and return its ETag.

    Args:
        store: the trial's folder.
        record: what to say.
        if_match: only where it is still the one with this ETag.

    Raises:
        PreconditionFailed: it is not: another process has taken the trial over.
        StorageError: the storage failed for longer than its retries last.
    """
    return store.put(RECORD, (json.dumps(record, indent=1) + "\n").encode(), if_match=if_match)


def is_settled(record: Record | None) -> bool:
    """Whether nothing is left to do: it has ended, or another attempt would only repeat its failure."""
    if record is None:
        return False
    return record["state"] in SETTLED or (record["state"] == "failed" and record["mistake"])


def read_checks(store: Store) -> list[dict[str, Any]]:
    """The validations of a trial in their order, as rows of its metrics; what was not finite is None.

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
            break  # the last one, cut off by a kill
        if row["kind"] == "check":
            checks.append(row)
    return checks


def value_of(checks: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    """A trial's number by which it is compared: the metric of the weights that it keeps, which are those of its best
    quality, or where nothing judges that, its last ones. None before a validation of trained weights has it.
    """
    trained = [row for row in checks if row["step"] > 0]
    judged = [row for row in trained if finite(row.get("quality")) is not None]
    kept = max(judged, key=lambda row: (row["quality"], row["step"])) if judged else (trained or [{}])[-1]
    return finite(kept.get(metric))


def finite(value: Any) -> float | None:
    """The number, or None for whatever cannot be compared."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
