"""An input on its way through a shard's stages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from attgan.data.codec import Decoded
from attgan.editing.placement import Placement
from attgan.errors import DataError
from flows.edit.ledger import FaceRow, Row, Status


@dataclass
class FaceOf:
    """A face of an image, as the network sees it.

    Attributes:
        placement: where in the image it is.
        pixels: ``(S, S, 3)`` uint8, RGB.
        row: its line of the ledger; None for the face of an aligned image, of which the image's row tells.
        edited: likewise, with what was asked for; None for one that has it already.
        reconstructed: likewise, as the network draws it unchanged, where that is needed.
    """

    placement: Placement
    pixels: np.ndarray
    row: FaceRow | None = None
    edited: np.ndarray | None = None
    reconstructed: np.ndarray | None = None


@dataclass
class Item:
    """An input with its row; what a stage is done with, it drops.

    Attributes:
        row: its line of the ledger, filled on the way.
        size: in bytes, as planned.
        labels: the face's attributes before the edit, in the bundle's order; NaN, or None for all: unknown.
        style: of the glasses of all its faces; None: what the run's settings say.
        replaces: the ETag of the output that an earlier run wrote under the output key, where it may be replaced.
        data: the encoded bytes: the input's until it is decoded, then the output's.
        original: the input's bytes, where they may have to be copied as they are.
        faces: those of the image that are meant.
        present: whether all of them have what is asked for already, and are to stay as they are.
        found: whether an earlier attempt had put this very output.
    """

    row: Row
    size: int
    labels: list[float] | None = None
    replaces: str | None = None
    style: list[str] | None = None
    data: bytes | None = None
    original: bytes | None = None
    content_type: str | None = None
    image: Decoded | None = None
    faces: list[FaceOf] = field(default_factory=list)
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
        self.drop()

    def _end(self, status: Status, stage: str, reason: str) -> None:
        self.row.status, self.row.stage, self.row.reason = status, stage, reason
        self.row.bytes_out = None
        self.drop()

    def drop(self) -> None:
        """Let go of bytes and pixels."""
        self.data = self.original = self.image = None
        self.faces = []


Chunk = list[Item]
