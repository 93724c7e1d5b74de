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
        replaces: the ETag of the output that an earlier run wrote under the output key, where it may be replaced.
        data: the encoded bytes: the input's until it is decoded, then the output's.
        original: the input's bytes, where they may have to be copied as they are.
        present: whether the face has all that is asked for already, and is to stay as it is.
        found: whether an earlier attempt had put this very output.
    """

    row: Row
    size: int
    labels: list[float] | None = None
    replaces: str | None = None
    data: bytes | None = None
    original: bytes | None = None
    content_type: str | None = None
    image: Decoded | None = None
    box: Box | None = None
    face: np.ndarray | None = None
    present: bool = False
    found: bool = False

    def fail(self, error: DataError) -> None:
        """End here, as bad data."""
        self._end("failed", error.stage, error.reason)

    def skip(self, stage: str, reason: str) -> None:
        """End here, for a reason that is nobody's fault."""
        self._end("skipped", stage, reason)

    def done(self, output_etag: str, *, found: bool = False) -> None:
        """End here: the output stands under its key."""
        self.row.status = "copied" if self.present else "edited"
        self.row.output_etag, self.found = output_etag, found
        self._drop()

    def _end(self, status: Status, stage: str, reason: str) -> None:
        self.row.status, self.row.stage, self.row.reason = status, stage, reason
        self.row.bytes_out = None
        self._drop()

    def _drop(self) -> None:
        self.data = self.original = self.image = self.face = None


Chunk = list[Item]
