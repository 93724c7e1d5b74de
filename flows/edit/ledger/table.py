"""The ledger as a table: its columns, and the row of an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

import pyarrow as pa

from attgan.attributes import AttributesFrom

Status = Literal["edited", "copied", "skipped", "failed"]

STATUSES: tuple[Status, ...] = ("edited", "copied", "skipped", "failed")
STAGES = ("fetch", "decode", "find", "edit", "encode", "put")

FACE = pa.struct(
    [
        ("box", pa.list_(pa.float32())),
        ("landmarks", pa.list_(pa.float32())),
        ("confidence", pa.float32()),
        ("status", pa.string()),
        ("attributes_from", pa.string()),
        ("predicted", pa.list_(pa.bool_())),
        ("targets", pa.list_(pa.float32())),
        ("style", pa.string()),
    ]
)

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("output_key", pa.string()),
        ("status", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("attempts", pa.int32()),
        ("generation", pa.int32()),
        ("source_etag", pa.string()),
        ("output_etag", pa.string()),
        ("attributes_from", pa.string()),
        ("predicted", pa.list_(pa.bool_())),
        ("targets", pa.list_(pa.float32())),
        ("style", pa.string()),
        ("faces", pa.list_(FACE)),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes_in", pa.int64()),
        ("bytes_out", pa.int64()),
        ("notes", pa.string()),
    ]
)


class FaceRow(TypedDict):
    """A face of a photograph: a row within its image's row.

    Attributes:
        box: left, top, right, bottom, in pixels of the photograph.
        landmarks: x and y of the two eyes, the nose and the two corners of the mouth, in pixels of the photograph.
        confidence: of the face detector.
        status: ``edited``; ``present`` for a face that had the attributes before; ``unsure`` for a face that was not
            edited because the classifier could not decide.
        attributes_from, predicted, targets, style: as in :class:`Row`.
    """

    box: list[float]
    landmarks: list[float]
    confidence: float
    status: Literal["edited", "present", "unsure"]
    attributes_from: AttributesFrom | None
    predicted: list[bool | None] | None
    targets: list[float] | None
    style: str | None


@dataclass
class Row:
    """One input and its outcome.

    Attributes:
        key, output_key: below the source and below the destination.
        source_etag: of the object that was read.
        stage, reason: where and why the input was skipped or failed: a stage of ``STAGES``, ``list`` where the listing
            found that it cannot be read, or ``process`` where the image killed each process that edited it.
        attempts: how often it was tried.
        generation: of the ledger that recorded this outcome first.
        output_etag: of the object that was written, or found to be the same output.
        attributes_from: where the face's attributes before the edit come from. ``unsure`` means that the classifier
            could not decide about one of the attributes to set.
        predicted: the classifier's predictions in the bundle's order; None if it was not asked.
        targets: the attribute vector that the network received.
        style: of the glasses, joined by commas.
        faces: of a photograph, the largest first. The four columns before describe the first of them.
        width, height: in pixels.
        notes: what was lost or changed besides the edit.
    """

    key: str
    output_key: str
    source_etag: str
    status: Status = "failed"
    stage: str | None = None
    reason: str | None = None
    attempts: int = 1
    generation: int = 0
    output_etag: str | None = None
    attributes_from: AttributesFrom | None = None
    predicted: list[bool | None] | None = None
    targets: list[float] | None = None
    style: str | None = None
    faces: list[FaceRow] | None = None
    width: int | None = None
    height: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    notes: str | None = None
