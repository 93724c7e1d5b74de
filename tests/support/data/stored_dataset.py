"""A small finished dataset, made on the spot: square noise, each row's different."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.manifest import MANIFEST, Counts, Manifest, PartEntry, part_name, to_bytes
from attgan.data.shards import Dataset, PartNote, entry, open_dataset, write_part
from attgan.data.stored import StoredImage, storage
from attgan.data.subsets import parse_subset
from tests.support.images.pictures import noise, saved

PLAN = "c" * 64


def labels_of(rows: int) -> np.ndarray:
    """``(rows, 40)`` bool; the first columns spell out the row's number in binary."""
    matrix = np.zeros((rows, len(CELEBA)), dtype=bool)
    for bit in range(12):
        matrix[:, bit] = np.arange(rows) >> bit & 1
    return matrix


def write_dataset(
    folder: Path,
    part_rows: tuple[int, ...] = (7, 7, 7, 7, 7, 5),
    *,
    size: int = 64,
    partition: np.ndarray | None = None,
    identity: np.ndarray | None = None,
    unknown: np.ndarray | None = None,
    instead: dict[int, bytes] | None = None,
) -> Dataset:
    """Write it: parts of so many rows. ``instead`` replaces some rows' images by other bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = sum(part_rows)
    ids = pa.array([f"{row:06d}.jpg" for row in range(rows)])
    labels = Labels(ids, labels_of(rows), partition, identity)
    starts = np.concatenate([[0], np.cumsum(part_rows)])
    parts: list[PartEntry] = []
    for index, (start, end) in enumerate(itertools.pairwise(starts)):
        mine = np.arange(start, end)
        data = [
            (instead or {}).get(row) or saved(noise(row, size, size), quality=90) for row in mine.tolist()
        ]
        images = [StoredImage(image, size, size, size) for image in data]
        some = None if unknown is None else unknown[mine]
        written = write_part(labels.take(mine), images, PartNote(PLAN, index, size, ()), some)
        (folder / part_name(index)).write_bytes(written)
        parts.append(entry(part_name(index), written, len(mine)))
    counts = Counts(
        labelled=rows, eligible=rows, at_hand=rows, not_at_hand=0, chosen=rows, unreadable=0, rows=rows
    )
    manifest = Manifest(
        plan=PLAN,
        subset=parse_subset("all"),
        seed=0,
        counts=counts,
        images=storage("original", size),
        identity=identity is not None,
        attributes=(),
        unreadable=(),
        parts=tuple(parts),
    )
    (folder / MANIFEST).write_bytes(to_bytes(manifest))
    return open_dataset(fs.LocalFileSystem(), str(folder))
