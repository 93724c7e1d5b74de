"""The ledger: what became of every input of a shard, written once, when the shard is done.

What is not in a ledger did not happen. A shard's ledgers are numbered by generation, one for each time that its failed
inputs were tried again; the highest one counts, and has all of the shard's rows.
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
STATUSES: tuple[Status, ...] = ("edited", "copied", "skipped", "failed")
STAGES = ("fetch", "decode", "find", "edit", "encode", "put")
SAMPLE = 12
FAILURES_SHOWN = 20  # of a shard

_LEDGER = re.compile(r"ledger/(\d+)\.\d+\.parquet")

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
    """A face of a photograph: a row within the row of its image.

    ``box`` is left, top, right, bottom and ``landmarks`` ten numbers, x and y of eyes, nose and corners of the mouth,
    in pixels of the photograph; ``status`` is ``edited``, ``present`` for one that had it already, or ``unsure``
    for one that was left because the classifier could not say; the rest is as in :class:`Row`.
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
    """One input and its fate.

    ``stage`` and ``reason`` say where and why it was skipped or failed; ``generation`` is that of the ledger whose
    making settled it; the ETags are those of what was read and of what was written or found; ``attributes_from`` says
    where the face's attributes before the edit come from (``unsure``: the classifier could not say whether it has all
    that is asked for), and ``predicted`` what the classifier saw if it was asked, in the bundle's order; ``targets`` is
    the attribute vector the network was fed; ``style`` names the glasses, with commas; ``faces`` are those of a
    photograph, the largest first, of which the four columns before it tell of the first; sizes are in bytes and
    pixels.
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
    """A failed input: its key, and where and why."""

    key: str
    stage: str
    reason: str


class SampledImage(NamedTuple):
    """An edited input for the before/after picture: its key, its output's, and the box of its largest face, if searched
    for: left, top, right, bottom, in pixels."""

    key: str
    output_key: str
    box: list[float] | None = None


@dataclass
class Summary:
    """What a shard's ledger adds up to; small enough to travel as a task's result.

    Attributes:
        attributes_from: how many faces' attributes before the edit come from where.
        seconds: per stage, how long it was busy (wall clock; stages overlap, so they add up to more than ``wall``).
        faces: in photographs, edited or not.
        found: outputs that an earlier attempt at the shard had put already.
        failures: the first failed inputs, for the report: key, stage, reason; those that killed their process lead.
        peak_mb: the largest the worker's process, or its child that edited the shard, has been so far.
        isolated: whether it was done in isolation, because its process had died.
        sample: a few edited inputs, chosen by their keys' hash, for the before/after picture.
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
        """Inputs, whatever became of them."""
        return sum(self.counts.values())


def summarise(shard: int, generation: int, rows: Sequence[Row]) -> Summary:
    """Count a shard's rows by status, and the skipped and failed ones by reason."""
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
            SampledImage(row.key, row.output_key, _largest_box(row)) for row in rows if row.status == "edited"
        ),
    )


def choose_sample(images: Iterable[SampledImage], count: int = SAMPLE) -> list[SampledImage]:
    """A few of them, the same ones whatever the order: those whose key has the smallest hash."""
    return nsmallest(count, images, key=lambda image: hashlib.sha256(image.key.encode()).digest())


def _largest_box(row: Row) -> list[float] | None:
    boxes = [face["box"] for face in row.faces or ()]
    return max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=None)


def ledger_key(shard: int, generation: int) -> str:
    """Where a shard's ledger stands below the run's folder."""
    return f"ledger/{shard:05d}.{generation:04d}.parquet"


def write_ledger(run: Store, rows: Sequence[Row], summary: Summary) -> Summary:
    """Write a shard's ledger, create-only. If another attempt was faster, its ledger counts and its summary returns."""
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
    """The key of each finished shard's ledger, the highest generation of each."""
    ledgers: dict[int, str] = {}
    for info in run.list("ledger/"):  # in order, so that a later generation replaces an earlier one
        if match := _LEDGER.fullmatch(info.key):
            ledgers[int(match[1])] = info.key
    return ledgers


def read_summary(run: Store, key: str) -> Summary:
    """A ledger's summary alone, from its footer's metadata."""
    metadata = pq.read_schema(pa.BufferReader(run.get(key).data)).metadata
    fields: dict[str, Any] = json.loads(metadata[b"summary"])
    fields["failures"] = [Failure(*failure) for failure in fields["failures"]]
    fields["sample"] = [SampledImage(*image) for image in fields["sample"]]
    return Summary(**fields)


def read_rows(run: Store, key: str) -> pa.Table:
    """A whole ledger: the columns of :class:`Row`, in the order of the plan."""
    return read_table(pa.BufferReader(run.get(key).data))
