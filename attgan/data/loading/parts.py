"""Reads parts for a stream: ahead of use, window by window; or once, if all of them fit into memory as stored."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future

import numpy as np

from attgan.data.loading.decoding import PartImages, read_images
from attgan.data.loading.order import Order, Step
from attgan.data.shards import Dataset


class PartReader:
    """Reads the images of parts. Threads may share it.

    Args:
        dataset: the parts' dataset.
        keep: whether each part stays in memory, as stored, once it was read.
    """

    def __init__(self, dataset: Dataset, keep: bool) -> None:
        self._dataset = dataset
        self._keep = keep
        self._kept: dict[int, PartImages] = {}
        self._reading = [threading.Lock() for _ in dataset.manifest.parts]

    def read(self, part: int, rows: np.ndarray) -> PartImages:
        """The images of some rows ``(n,)`` of a part, numbered within it.

        Raises:
            UserError: the part is missing or is another one.
        """
        if not self._keep:
            return read_images(self._dataset, part).take(rows)
        with self._reading[part]:
            if part not in self._kept:
                self._kept[part] = read_images(self._dataset, part)
        return self._kept[part].take(rows)


class Window:
    """The parts that a stream holds or is reading: only the images of its own rows.

    Args:
        reader: reads them.
        starts: ``(parts + 1,)``, see :class:`attgan.data.loading.rows.Rows`.
        order: of the stream.
        pool: threads that read.
    """

    def __init__(self, reader: PartReader, starts: np.ndarray, order: Order, pool: Executor) -> None:
        self._reader = reader
        self._starts = starts
        self._order = order
        self._pool = pool
        self._parts: dict[int, tuple[np.ndarray, Future[PartImages]]] = {}

    def move_to(self, step: Step) -> None:
        """Start reading the parts of the step and of the window after it, and drop all others."""
        needed = [*step.parts, *step.ahead]
        for part in self._parts.keys() - needed:
            self._parts.pop(part)[1].cancel()
        for part in needed:
            if part not in self._parts:
                rows = self._order.rows[self._order.parts == part] - self._starts[part]
                self._parts[part] = (rows, self._pool.submit(self._reader.read, part, rows))

    def images(self, rows: np.ndarray) -> list[tuple[PartImages, int]]:
        """The part and index of each of the rows ``(n,)``. Waits until their parts are read.

        Raises:
            UserError: a part is missing or is another one.
        """
        found = []
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        for part, row in zip(parts.tolist(), rows - self._starts[parts], strict=True):
            mine, read = self._parts[part]
            found.append((read.result(), int(np.searchsorted(mine, row))))
        return found
