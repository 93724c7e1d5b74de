"""Event files for TensorBoard: a trial's metrics, and its settings for the HPARAMS page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import hparams

from flows.sweep.plan import SweepPlan, Trial
from flows.sweep.records import read_metrics

TENSORBOARD = "tensorboard"
# TensorBoard recognises an event file by the middle of its name.
EVENT_FILE = "events.out.tfevents.0.attgan"
_VERSION = "brain.Event:2"
_NO_NUMBERS = frozenset({"kind", "network", "step"})


def write_event_files(plan: SweepPlan, trials: Sequence[Trial]) -> None:
    """Write an event file for each trial that has metrics."""
    for trial in trials:
        metrics = read_metrics(plan.folder(trial.number))
        if metrics:
            content = event_file(metrics, trial.changes, [f"held out/{plan.settings.metric}"])
            plan.store.put(f"{TENSORBOARD}/{trial.name}/{EVENT_FILE}", content)


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
