"""The files of a trial's folder: its record, the scheduler's decisions, its metrics and its weights.

Beside the files of its training, a trial's folder holds ``trial.json``, its record, and ``decisions.json``, what the
scheduler has decided about it. When a sweep resumes, it reads only these files, and its results are made of them.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, NotRequired, TypedDict, TypeGuard, TypeVar

from attgan.models.bundle_config import CONFIG
from attgan.training.run_folder.metrics_log import METRICS
from attgan.training.run_folder.run_files import RESULT
from flows.storage import ObjectRefused, StorageError, Store, join, open_store
from flows.storage.errors import CredentialsRefused

TRIALS = "trials"
RECORD = "trial.json"
DECISIONS = "decisions.json"
MEASURES = "measures.json"
EDITED = "edited.npz"
BUNDLE = "bundle"
SCHEMA = 1

State = Literal["waiting", "running", "finished", "stopped_early", "diverged", "failed", "interrupted"]
COMPLETE = frozenset({"finished", "stopped_early", "diverged"})
WITHOUT_RESULT = frozenset({"failed", "diverged"})
"""How a trial ends that counts as worse than all others, whatever its last validation measured."""

_BEST = re.compile(r"best/step-(\d+)/" + re.escape(CONFIG))


T = TypeVar("T")


class Record(TypedDict):
    """The content of ``trial.json``.

    Attributes:
        schema: of this record.
        number: of the trial.
        changes: the searched settings and their values.
        label: the same in words.
        state: "waiting" was suggested by a search and has not begun; "running" may also have lost its process;
            "interrupted" resumes with the next command.
        reason: why it ended, on one line; while it runs, why its last attempt ended.
        attempts: how often it began or resumed.
        command: the id of the command whose worker wrote this; empty before the first attempt.
        node: where it ran last; None before the first attempt.
        seconds: duration of all attempts that were not killed.
        permanent: whether it failed in a way that another attempt would repeat.
        value: of the sweep's metric when the last attempt ended, as of :func:`value_of`. Missing before that, and in
            records of version 0.2.
        task_run: the id of Prefect's task run in which it ran last. Missing before the first attempt, and in records
            of version 0.2.
    """

    schema: int
    number: int
    changes: dict[str, Any]
    label: str
    state: State
    reason: str
    attempts: int
    command: str
    node: str | None
    seconds: float
    permanent: bool
    value: NotRequired[float | None]
    task_run: NotRequired[str | None]


class Decision(TypedDict):
    """What the scheduler decided after one validation of a trial.

    Attributes:
        order: its place among all decisions of the sweep, from 0.
        step: of the validation.
        value: of the metric; None if it is not known, and then the trial continues.
        stop: whether the trial is to be stopped.
        grace_steps: the first rung, in steps; None if rungs are at shares of each trial's own steps.
        progress: the share of the trial's steps that were done, in millionths. Missing where rungs are counted in
            steps, as in all sweeps that earlier versions began.
    """

    order: int
    step: int
    value: float | None
    stop: bool
    grace_steps: int | None
    progress: NotRequired[int]


@dataclass(frozen=True)
class Kept:
    """The weights that are a trial's result.

    Attributes:
        path: of their bundle, below the trial's folder.
        step: after which they were saved.
        steps: that the trial has done; None if it has not finished.
    """

    path: str
    step: int
    steps: int | None = None


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
        command="",
        node=None,
        seconds=0.0,
        permanent=False,
    )


def read_record(store: Store) -> Record | None:
    """Read a trial's record; None if there is none yet.

    Raises:
        StorageError: the storage failed for longer than its retries last.
    """
    content = read_json(store, RECORD)
    if content is None:
        return None
    # Up to version 0.2 the field was called "mistake", and there was no command.
    record: Record = {"command": "", "permanent": content.pop("mistake", False)} | content
    return record


def trial_folder(sweep: Store, number: int) -> Store:
    """The folder of a trial, by its number."""
    return open_store(join(sweep.url, TRIALS, f"{number:03d}"), option="--destination")


def read_trials(sweep: Store, first: int = 0) -> Iterator[tuple[Store, Record]]:
    """The folders and records of a sweep's trials in order, from the number ``first`` until one has no record."""
    for number in count(first):
        folder = trial_folder(sweep, number)
        record = read_record(folder)
        if record is None:
            return
        yield folder, record


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


def is_complete(record: Record | None) -> TypeGuard[Record]:
    """Whether nothing is left to do: the trial has ended, or another attempt would only fail again."""
    if record is None:
        return False
    return record["state"] in COMPLETE or (record["state"] == "failed" and record["permanent"])


def read_decisions(store: Store) -> list[Decision]:
    """The decisions about a trial, in their order."""
    return list(read_json(store, DECISIONS) or [])


def write_decisions(store: Store, decisions: Sequence[Decision]) -> None:
    """Write all decisions about a trial."""
    store.put(DECISIONS, json.dumps(decisions, indent=1).encode())


def read_metrics(store: Store) -> list[dict[str, Any]]:
    """All rows of a trial's metrics in their order, of steps and validations; none if it has not begun.

    Numbers that were not finite are None.
    """
    try:
        lines = store.get(METRICS).data.splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            # The last line, which a killed process did not finish.
            break
    return rows


def read_validations(store: Store) -> list[dict[str, Any]]:
    """The rows of the validations."""
    return [row for row in read_metrics(store) if row["kind"] == "check"]


def numbers_of(validation: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of a validation by their names."""
    return {name: value for name, value in validation.items() if name not in ("kind", "step")}


def value_of(validations: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    """The value by which a trial is compared: the metric of the weights that it keeps.

    Those are the weights with the best quality, or the last ones if the quality is unknown; the metric ``steps`` is the
    step after which they were saved. None before the first validation of trained weights.
    """
    trained = [row for row in validations if row["step"] > 0]
    with_quality = [row for row in trained if finite(row.get("quality")) is not None]
    kept = (
        max(with_quality, key=lambda row: (row["quality"], row["step"]))
        if with_quality
        else (trained or [{}])[-1]
    )
    return finite(kept.get("step" if metric == "steps" else metric))


def results_of(store: Store, record: Record, metrics: Sequence[str]) -> list[float | None]:
    """The values by which a trial that has ended is compared: of the sweep's metrics, in their order.

    None for each if it failed or diverged.
    """
    if record["state"] in WITHOUT_RESULT:
        return [None] * len(metrics)
    first, *others = metrics
    validations = read_validations(store) if others else []
    return [result_of(store, record, first), *(value_of(validations, metric) for metric in others)]


def result_of(store: Store, record: Record, metric: str) -> float | None:
    """The value by which a trial that has ended is compared, without reading its metrics if its record has it."""
    return record["value"] if "value" in record else value_of(read_validations(store), metric)


def kept_weights(store: Store) -> Kept | None:
    """The bundle of a finished trial, or the best one so far of any other; None if there is neither."""
    outcome = read_json(store, RESULT)
    if outcome is not None:
        return Kept(BUNDLE, outcome["best_step"], outcome["step"])
    found = [match for info in store.list("best/") if (match := _BEST.fullmatch(info.key))]
    newest = max(found, key=lambda match: int(match[1]), default=None)
    return Kept(newest[0].removesuffix(f"/{CONFIG}"), int(newest[1])) if newest else None


def read_measures(store: Store) -> dict[str, Any] | None:
    """What was measured on the test faces; None if nothing was yet."""
    content: dict[str, Any] | None = read_json(store, MEASURES)
    # Up to version 0.2 the evaluator was called judge.
    if content is not None and "judge" in content:
        content["evaluator"] = content.pop("judge")
        content["made_of"]["evaluator"] = content["made_of"].pop("judge")
    return content


def read_json(store: Store, key: str) -> Any:
    """The content of a JSON file; None if there is no such file."""
    try:
        return json.loads(store.get(key).data)
    except FileNotFoundError:
        return None


def finite(value: Any) -> float | None:
    """The value if it is a finite number; else None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def patiently(
    action: Callable[..., T],
    *args: Any,
    unless: Callable[[], object] = lambda: False,
    every: float = 5.0,
    outage: float = 300.0,
) -> T:
    """Call an action again, every few seconds, while the storage fails; returns its result.

    Otherwise one failing request would end the sweep, while each of its trials has several attempts.

    Raises:
        StorageError: it failed for ``outage`` seconds, or ``unless`` returned a true value. It refuses the credentials
            or the object: at once.
    """
    until = time.monotonic() + outage
    while True:
        try:
            return action(*args)
        except (CredentialsRefused, ObjectRefused):
            raise
        except StorageError:
            if time.monotonic() > until or unless():
                raise
        time.sleep(every)
