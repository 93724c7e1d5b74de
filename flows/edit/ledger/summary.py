"""The sums of a shard's ledger."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple

from flows.edit.ledger.table import STATUSES, Row

# Edited images of a shard, and of a run, in the before/after picture.
SAMPLE = 12
# Failed images of a shard that its summary lists.
FAILURES_SHOWN = 20


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
    reasons = Counter(
        # Where a fault showed helps to find it; an image that is skipped has none.
        f"failed at {row.stage}: {row.reason}" if row.status == "failed" else f"{row.status}: {row.reason}"
        for row in rows
        if row.reason
    )
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
