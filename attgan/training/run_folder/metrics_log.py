"""``metrics.jsonl``: one row of numbers for each step, and one for each validation.

``{"kind": "step", "step": 12, "network": "discriminator", "learning_rate": …, "total": …, …}`` and
``{"kind": "check", "step": 12, "epoch": 0.5, "psnr": …, …}``. ``step`` counts the steps done; ``part_size`` is there
where a batch was computed in parts. Nothing in a row depends on the time or the machine, so that an interrupted run has
the same rows as an uninterrupted one.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

from attgan.models.folder import Folder, local_path
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.plain_json import plain, to_json

METRICS = "metrics.jsonl"

Row = dict[str, Any]


class MetricsLog:
    """All rows of a run, in memory. :meth:`flush` writes them to the run's folder."""

    def __init__(self, folder: OwnedFolder, step: int | None) -> None:
        """Read the rows up to ``step``. Later rows belong to steps that the resumed run repeats; they are dropped.

        Args:
            folder: of the run.
            step: of the checkpoint that the run resumes from; None without one: then all rows are dropped.
        """
        self._folder = folder
        self._local = local_path(folder.path, folder.filesystem)
        self.rows: list[Row] = []
        self._encoded = bytearray()
        self._written = 0
        if step is not None:
            for row in _read(folder):
                if row["step"] <= step:
                    self.add(row)
        self._write_whole()

    def add(self, row: Row) -> None:
        """Add a row. Numbers that are not finite become null."""
        row = plain(row)
        self.rows.append(row)
        self._encoded += to_json(row)

    def of(self, kind: str) -> list[Row]:
        """The rows of one kind."""
        return [row for row in self.rows if row["kind"] == kind]

    def flush(self) -> None:
        """Write the new rows: on a disk they are appended, elsewhere the whole file is written (S3 cannot append).

        Raises:
            UserError: another process has taken over the run.
            OSError: what the filesystem reports.
        """
        if self._written == len(self._encoded):
            return
        if self._local is None:
            self._write_whole()
        else:
            self._folder.confirm()
            with (self._local / METRICS).open("ab") as stream:
                stream.write(self._encoded[self._written :])
                stream.flush()
                os.fsync(stream.fileno())
            self._written = len(self._encoded)

    def flush_if_cheap(self) -> None:
        """:meth:`flush` where rows can be appended. Elsewhere they wait for the next validation or checkpoint."""
        if self._local is not None:
            self.flush()

    def _write_whole(self) -> None:
        self._folder.write(METRICS, bytes(self._encoded))
        self._written = len(self._encoded)


def _read(folder: Folder) -> Iterator[Row]:
    try:
        lines = folder.read(METRICS).splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            # The last row, cut off when the process was killed. Its step is repeated.
            return
