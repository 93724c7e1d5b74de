"""The numbers of a run as rows of ``metrics.jsonl``: one for each step, one for each validation.

``{"kind": "step", "step": 12, "network": "discriminator", "learning_rate": …, "total": …, …}`` and
``{"kind": "check", "step": 12, "epoch": 0.5, "psnr": …, …}``. ``step`` counts the steps done. There is nothing in them
that depends on the time or the machine, so that an interrupted run has the rows of an uninterrupted one.
"""

import json
import math
import os
from collections.abc import Iterator
from typing import Any

from attgan.models.folder import Folder, local_path

METRICS = "metrics.jsonl"

Row = dict[str, Any]


class MetricsLog:
    """All rows of a run: in memory, and in the run's folder after each :meth:`flush`."""

    def __init__(self, folder: Folder, step: int) -> None:
        """Take up the rows up to ``step``; later ones belong to work that is done again."""
        self._folder = folder
        self._local = local_path(folder.path, folder.filesystem)
        self.rows = [row for row in _read(folder) if row["step"] <= step]
        self._written = 0
        self._folder.write(METRICS, _to_bytes(self.rows))
        self._written = len(self.rows)

    def add(self, row: Row) -> None:
        """Remember a row. What is not finite becomes null: JSON has no other word for it."""
        self.rows.append({key: _plain(value) for key, value in row.items()})

    def of(self, kind: str) -> list[Row]:
        """The rows of one kind."""
        return [row for row in self.rows if row["kind"] == kind]

    def flush(self) -> None:
        """Write what is new: appended on a disk, as a whole elsewhere (S3 cannot append)."""
        new = self.rows[self._written :]
        if not new:
            return
        if self._local is None:
            self._folder.write(METRICS, _to_bytes(self.rows))
        else:
            with (self._local / METRICS).open("ab") as stream:
                stream.write(_to_bytes(new))
                stream.flush()
                os.fsync(stream.fileno())
        self._written = len(self.rows)


def _read(folder: Folder) -> Iterator[Row]:
    try:
        lines = folder.read(METRICS).splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return  # the last one, cut off by a kill: its step is done again


def _to_bytes(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
