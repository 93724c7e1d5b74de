"""The loader, beside what is usually done: every image opened from its own file, cropped, resized, stacked."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pyarrow import fs

from attgan.attributes import CELEBA, PUBLISHED
from attgan.data.celeba import Labels
from attgan.data.loading.loader import Faces, open_faces
from attgan.data.manifest import MANIFEST, Counts, Manifest, part_name, to_bytes
from attgan.data.shards import Dataset, PartNote, entry, open_dataset, write_part
from attgan.data.stored import pack_image, storage
from attgan.data.subsets import parse_subset
from flows.bench.faces import drawn_faces
from tests.benchmarks.table import Row, peak_mb, rate

SIZE, BATCH, ROWS_PER_PART = 128, 128, 250


def measure(images: int = 2048) -> Iterator[Row]:
    """Rows for an epoch from the cache, filling the cache, and an epoch decoded on the way."""
    torch.set_num_threads(1)
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        files = _write_files(Path(folder) / "files", images)
        one_by_one = rate(lambda: _one_by_one(files), images)
        against = "files one by one, Pillow, one core"
        dataset = _write_dataset(Path(folder) / "dataset", images)

        def fill(threads: int, shared: Path | None = None) -> Faces:
            return open_faces(
                dataset,
                size=SIZE,
                attributes=PUBLISHED,
                validation_share=0,
                cache_bytes=2**31,
                threads=threads,
                shared=shared,
            )

        for threads in sorted({1, min(2, cores)}):
            filled = rate(lambda: fill(threads), images)  # noqa: B023 (called at once)
            what = f"loader, filling the cache, {threads} threads"
            yield Row(what, filled, "img/s", against, one_by_one, peak_mb())
        with fill(cores) as faces:
            from_cache = rate(lambda: _epoch(faces, images), images)
        yield Row("loader, an epoch from the cache", from_cache, "img/s", against, one_by_one, peak_mb())
        shared = partial(fill, 1, Path(folder) / "shared")
        shared().close()
        opened = rate(shared, images)
        yield Row("loader, opening what another has decoded", opened, "img/s", against, one_by_one, peak_mb())
        with shared() as faces:
            # Maps the pages.
            _epoch(faces, images)
            mapped = rate(lambda: _epoch(faces, images), images)
        yield Row("loader, an epoch from the shared file", mapped, "img/s", "memory", from_cache, peak_mb())
        for threads in sorted({1, min(2, cores)}):
            with open_faces(
                dataset, size=SIZE, attributes=PUBLISHED, validation_share=0, cache_bytes=0, threads=threads
            ) as faces:
                streamed = rate(lambda: _epoch(faces, images), images)
            what = f"loader, an epoch from the parts, {threads} threads"
            yield Row(what, streamed, "img/s", against, one_by_one, peak_mb())


def _epoch(faces: Faces, images: int) -> None:
    stream = faces.batches(faces.training, BATCH, seed=0, name="bench")
    for _ in itertools.islice(stream, images // BATCH):
        pass


def _one_by_one(files: Sequence[Path]) -> None:
    for start in range(0, len(files), BATCH):
        batch = []
        for path in files[start : start + BATCH]:
            with Image.open(path) as opened:
                face = opened.convert("RGB").crop((4, 24, 174, 194))
            face = face.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            batch.append(torch.from_numpy(np.array(face)).permute(2, 0, 1))
        torch.stack(batch)


def _write_files(folder: Path, images: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:06d}.jpg" for number in range(images)]
    for path, data in zip(paths, drawn_faces(images), strict=True):
        path.write_bytes(data)
    return paths


def _write_dataset(folder: Path, images: int) -> Dataset:
    folder.mkdir()
    stored = [pack_image(data, "original", SIZE) for data in drawn_faces(images)]
    labels = Labels(
        pa.array([f"{number:06d}.jpg" for number in range(images)]),
        np.random.default_rng(0).random((images, len(CELEBA))) < 0.3,
    )
    parts = []
    for index in range(-(-images // ROWS_PER_PART)):
        rows = np.arange(index * ROWS_PER_PART, min((index + 1) * ROWS_PER_PART, images))
        data = write_part(
            labels.take(rows), [stored[row] for row in rows], PartNote("0" * 64, index, SIZE, ())
        )
        (folder / part_name(index)).write_bytes(data)
        parts.append(entry(part_name(index), data, len(rows)))
    counts = dict.fromkeys(("labelled", "eligible", "at_hand", "chosen", "rows"), images)
    manifest = Manifest(
        plan="0" * 64,
        subset=parse_subset("all"),
        seed=0,
        counts=Counts(not_at_hand=0, unreadable=0, **counts),
        images=storage("original", 170),
        identity=False,
        attributes=(),
        unreadable=(),
        parts=tuple(parts),
    )
    (folder / MANIFEST).write_bytes(to_bytes(manifest))
    return open_dataset(fs.LocalFileSystem(), str(folder))
