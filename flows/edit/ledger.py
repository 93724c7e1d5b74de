"""The ledger of a shard: one row for each input, written once, when the shard is done.

Only what a ledger records counts as done. A shard has one ledger per generation: number 0 for the run itself, and one
more for each retry of its failed inputs. The ledger with the highest number is valid, and has all of the shard's rows.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from heapq import nsmallest
from typing import Any, Literal, NamedTuple, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from attgan.data.column_reader import read_table
from flows.storage import Store

Status = Literal["edited", "copied", "skipped", "failed"]
AttributesFrom = Literal["labels", "classifier", "unsure", "unknown"]
NO_FACE = "no face found"
"""The reason of a photograph in which no face was found."""

STATUSES: tuple[Status, ...] = ("edited", "copied", "skipped", "failed")
STAGES = ("fetch", "decode", "find", "edit", "encode", "put")
# Edited images of a shard, and of a run, in the before/after picture.
SAMPLE = 12
# Failed images of a shard that its summary lists.
FAILURES_SHOWN = 20

LEDGER = re.compile(r"ledger/(\d+)\.\d+\.parquet")

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


class Failure(NamedTuple):
    """A failed input: its key, and the stage and the reason of the failure."""

    key: str
    stage: str
    reason: str


class SampledImage(NamedTuple):
    """An edited input for the before/after picture.

    ``box`` is the largest face's, in pixels: left, top, right, bottom. None for an aligned image.
    """

    key: str
    output_key: str
    box: list[float] | None = None


@dataclass
class Summary:
    """The sums of a shard's ledger. It is the result of the shard's task, and is stored in the ledger's metadata.

    Attributes:
        counts: rows by status.
        reasons: skipped and failed rows by reason.
        attributes_from: images by the source of their attributes before the edit.
        seconds: busy time per stage. Stages overlap, so the sum exceeds ``wall``.
        peak_mb: largest memory use so far of the worker's process, or of the child processes that edited the shard.
        faces: in photographs, edited or not.
        found: outputs that an earlier attempt at the shard had written.
        isolated: whether child processes edited the shard, because its process had died.
        failures: the first failed inputs. Those that killed their process come first.
        sample: a few edited inputs for the before/after picture.
    """

    shard: int
    generation: int
    counts: dict[str, int]
    reasons: dict[str, int]
    bytes_in: int
    bytes_out: int
    attributes_from: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    wall: float = 0.0
    peak_mb: int = 0
    host: str = ""
    faces: int = 0
    found: int = 0
    isolated: bool = False
    failures: list[Failure] = field(default_factory=list)
    sample: list[SampledImage] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Number of inputs, whatever their status."""
        return sum(self.counts.values())


def summarise(shard: int, generation: int, rows: Sequence[Row]) -> Summary:
    """Sum up a shard's rows."""
    counts = Counter(row.status for row in rows)
    reasons = Counter(f"{row.status} at {row.stage}: {row.reason}" for row in rows if row.reason)
    failed = sorted((row for row in rows if row.status == "failed"), key=lambda row: row.stage != "process")
    return Summary(
        shard=shard,
        generation=generation,
        counts={status: counts[status] for status in STATUSES},
        reasons=dict(reasons.most_common(50)),
        faces=sum(len(row.faces or ()) for row in rows),
        bytes_in=sum(row.bytes_in or 0 for row in rows),
        bytes_out=sum(row.bytes_out or 0 for row in rows),
        attributes_from=dict(Counter(row.attributes_from for row in rows if row.attributes_from)),
        failures=[Failure(row.key, row.stage or "", row.reason or "") for row in failed[:FAILURES_SHOWN]],
        sample=choose_sample(
            SampledImage(row.key, row.output_key, row.faces[0]["box"] if row.faces else None)
            for row in rows
            if row.status == "edited"
        ),
    )


def choose_sample(images: Iterable[SampledImage], count: int = SAMPLE) -> list[SampledImage]:
    """The images whose keys have the smallest hashes: the same ones in whatever order they come."""
    return nsmallest(count, images, key=lambda image: hashlib.sha256(image.key.encode()).digest())


def ledger_key(shard: int, generation: int) -> str:
    """The key of a shard's ledger below the run's folder."""
    return f"ledger/{shard:05d}.{generation:04d}.parquet"


def write_ledger(run: Store, rows: Sequence[Row], summary: Summary) -> Summary:
    """Write a shard's ledger, create-only; returns the summary of the ledger that counts.

    If another attempt at the shard was faster, that is the other attempt's.
    """
    table = pa.table({name: [getattr(row, name) for row in rows] for name in SCHEMA.names}, schema=SCHEMA)
    table = table.replace_schema_metadata({"summary": json.dumps(asdict(summary))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    key = ledger_key(summary.shard, summary.generation)
    try:
        run.put(key, buffer.getvalue(), create_only=True, content_type="application/vnd.apache.parquet")
    except FileExistsError:
        return read_summary(run, key)
    return summary


def finished_shards(run: Store) -> dict[int, str]:
    """The key of the valid ledger of each finished shard."""
    ledgers: dict[int, str] = {}
    # Keys come in order, so a later generation replaces an earlier one.
    for info in run.list("ledger/"):
        if match := LEDGER.fullmatch(info.key):
            ledgers[int(match[1])] = info.key
    return ledgers


def read_summary(run: Store, key: str) -> Summary:
    """Read only a ledger's summary, from the metadata in the Parquet footer."""
    metadata = pq.read_schema(pa.BufferReader(run.get(key).data)).metadata
    fields: dict[str, Any] = json.loads(metadata[b"summary"])
    fields["failures"] = [Failure(*failure) for failure in fields["failures"]]
    fields["sample"] = [SampledImage(*image) for image in fields["sample"]]
    return Summary(**fields)


def read_rows(run: Store, key: str) -> pa.Table:
    """Read a whole ledger: the columns of :class:`Row`, in the order of the plan."""
    return read_table(pa.BufferReader(run.get(key).data))
