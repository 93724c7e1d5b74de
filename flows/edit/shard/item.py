"""An input on its way through a shard's stages."""

from __future__ import annotations

from dataclasses import dataclass

from attgan.editing.photographs import Photograph
from attgan.errors import DataError
from flows.edit.ledger import Row, Status
from flows.storage import ObjectRefused


@dataclass
class Item:
    """An input and its row. Each stage drops the data that later stages do not need.

    Attributes:
        row: its row in the ledger, which the stages fill in.
        size: in bytes, as planned.
        refused: why it cannot be read, if the listing has found that out.
        labels: the face's attributes before the edit, in the bundle's order; NaN where unknown, None if all are.
        replaces: the ETag of an earlier run's output under the output key, if that may be replaced.
        style: of the glasses of all its faces; None if the run's settings decide.
        data: encoded bytes: first the input's, until it is decoded, then the output's.
        original: the input's bytes, kept if they may be copied unchanged.
        photograph: the decoded image.
        held: bytes of memory that it takes from decoding to writing, with its edited copy.
        is_copy: whether the output is the image as it was, because none of its faces is edited.
        found: whether an earlier attempt at the shard had written this very output.
    """

    row: Row
    size: int
    labels: list[float] | None = None
    replaces: str | None = None
    style: list[str] | None = None
    refused: str | None = None
    data: bytes | None = None
    original: bytes | None = None
    content_type: str | None = None
    photograph: Photograph | None = None
    held: int = 0
    is_copy: bool = False
    found: bool = False

    def fail(self, error: DataError) -> None:
        """End as failed: bad data."""
        self._end("failed", error.stage, error.reason)

    def refuse(self, stage: str, error: ObjectRefused) -> None:
        """End as failed: the storage refuses this object for good."""
        reason = str(error)
        for key in (self.row.key, self.row.output_key):
            # The row has the key, and equal reasons are counted together.
            reason = reason.removeprefix(f"key {key!r}: ")
        self.fail(DataError(stage, reason))

    def skip(self, stage: str, reason: str) -> None:
        """End as skipped, for a reason that is not an error."""
        self._end("skipped", stage, reason)

    def done(self, output_etag: str, *, found: bool = False) -> None:
        """End as edited or copied: the output exists under its key."""
        self.row.status = "copied" if self.is_copy else "edited"
        self.row.output_etag, self.found = output_etag, found
        self.drop()

    def _end(self, status: Status, stage: str, reason: str) -> None:
        self.row.status, self.row.stage, self.row.reason = status, stage, reason
        self.row.bytes_out = None
        self.drop()

    def drop(self) -> None:
        """Free bytes and pixels."""
        self.data = self.original = self.photograph = None


Chunk = list[Item]
