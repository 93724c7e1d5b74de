"""An input on its way through a shard's stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attgan.data.codec import Decoded
from attgan.data.transforms import Box
from attgan.errors import DataError
from flows.edit.ledger import Row, Status


@dataclass
class Item:
    """An input with its row; what a stage is done with, it drops.

    Attributes:
        row: its line of the ledger, filled on the way.
        size: in bytes, as planned.
        labels: the face's attributes before the edit, in the bundle's order; NaN, or None for all: unknown.
        replaces: the ETag of the output that an earlier run of these settings wrote under the output key, where the
            source has changed since.
    """

    row: Row
    size: int
    labels: list[float] | None = None
    replaces: str | None = None
    data: bytes | None = None
    content_type: str | None = None
    image: Decoded | None = None
    box: Box | None = None
    face: np.ndarray | None = None

    def fail(self, error: DataError) -> None:
        """End here, as bad data."""
        self._end("failed", error.stage, error.reason)

    def skip(self, stage: str, reason: str) -> None:
        """End here, for a reason that is nobody's fault."""
        self._end("skipped", stage, reason)

    def _end(self, status: Status, stage: str, reason: str) -> None:
        self.row.status, self.row.stage, self.row.reason = status, stage, reason
        self.row.bytes_out = None
        self.data = self.image = self.face = None


Chunk = list[Item]
