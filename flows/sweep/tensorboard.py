"""A trial's metrics as an event file for TensorBoard, with its settings for the HPARAMS page.

The file depends on the rows alone, so that a sweep that resumes writes the same file. The time that TensorBoard needs
for each number is the step, in seconds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import hparams

# TensorBoard recognises an event file by the middle of its name.
FILE = "events.out.tfevents.0.attgan"
_VERSION = "brain.Event:2"
_NO_NUMBERS = frozenset({"kind", "network", "step"})


def event_file(
    rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], measured: Sequence[str]
) -> bytes:
    """The content of an event file.

    Args:
        rows: of a run's ``metrics.jsonl``, in their order.
        settings: in which the trial differs from others.
        measured: names, as in :func:`scalars`, of the numbers that HPARAMS lists beside the settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILE)
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
