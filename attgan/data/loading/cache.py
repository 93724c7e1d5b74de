"""Decodes all faces of a dataset once: part by part, or into memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from attgan.data.loading.decoding import PartImages, decode_into, decoding_pool, read_images
from attgan.data.loading.prefetch import Prefetched
from attgan.data.shards import Dataset

MOST_BYTES = 4 * 2**30
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
# Parts that are read while another is decoded.
_AHEAD = 1

Report = Callable[[int, int], None]


def default_cache_bytes() -> int:
    """A quarter of the memory of this machine, or of its container, but at most 4 GiB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # There may be no such file, or no limit in it.
    with suppress(OSError, ValueError):
        memory = min(memory, int(_CONTAINER_LIMIT.read_text()))
    return min(memory // 4, MOST_BYTES)


def cache_bytes_of(rows: int, size: int) -> int:
    """Memory that decoded faces take."""
    return rows * size * size * 3


def decode_all(dataset: Dataset, size: int, threads: int, report: Report | None = None) -> np.ndarray:
    """All faces ``(rows, size, size, 3)`` uint8, in the dataset's order; the next part is read meanwhile.

    Args:
        dataset: what to decode.
        size: of the faces.
        threads: that decode.
        report: called after each part with the number of decoded rows and of all rows.

    Raises:
        UserError: a part is missing or another one, or an image does not open.
    """
    faces = np.empty((dataset.manifest.counts.rows, size, size, 3), dtype=np.uint8)
    done = 0
    with closing(decode_parts(dataset, size, threads)) as parts:
        for part in parts:
            faces[done : done + len(part)] = part
            done += len(part)
            if report is not None:
                report(done, len(faces))
    return faces


def decode_parts(dataset: Dataset, size: int, threads: int) -> Generator[np.ndarray, None, None]:
    """The faces ``(n, size, size, 3)`` uint8 of one part after the other. All use one buffer: copy what you keep.

    Raises:
        UserError: a part is missing or another one, or an image does not open.
    """
    manifest = dataset.manifest
    faces = np.empty((max((part.rows for part in manifest.parts), default=0), size, size, 3), dtype=np.uint8)

    def read() -> Generator[PartImages, None, None]:
        for part in range(len(manifest.parts)):
            yield read_images(dataset, part)

    with decoding_pool(threads) as pool, closing(Prefetched(read, _AHEAD, "read parts")) as parts:
        for part in parts:
            rows = len(part.data)
            decode_into(pool, [(part, i) for i in range(rows)], manifest.images, faces[:rows])
            yield faces[:rows]
