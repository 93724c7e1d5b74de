"""Shards → batches, in an order that depends on a seed, a name and a batch's number alone.

>>> with open_faces(dataset, size=128, attributes=PUBLISHED, seed=0) as faces:
...     for batch in faces.batches(faces.training, 128, seed=0, name="train"):
...         ...

The batches never end.

Faces that fit into the cache are decoded once, when the dataset is opened. All streams share them, and so do all
processes of a machine that use the same cache folder. Otherwise every stream decodes its faces when it needs them, and
reads the parts ahead in windows (see :mod:`attgan.data.loading.order`). It then holds a few decoded batches, and the
stored images of two windows: the present one and the one being read. If all parts fit into the cache as stored, each is
still read only once. The batches are the same in all cases.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch

from attgan.data.loading.cache import Report, cache_bytes_of, decode_all, default_cache_bytes
from attgan.data.loading.decoding import (
    decode_into,
    decoding_pool,
    settle_torch_threads,
    use_one_torch_thread,
)
from attgan.data.loading.order import Order, flips
from attgan.data.loading.parts import PartReader, Window
from attgan.data.loading.prefetch import Prefetched
from attgan.data.loading.rows import Rows, read_rows
from attgan.data.loading.shared import share_faces
from attgan.data.loading.split import Split, split_rows
from attgan.data.shards import Dataset
from attgan.data.stored import check_size
from attgan.errors import UserError

WINDOW = 8
# Batches made ahead.
_AHEAD = 2
# Parts read at a time.
_READERS = 2


class Batch(NamedTuple):
    """A batch of faces.

    Attributes:
        images: ``(N, 3, S, S)`` uint8, RGB; in memory the channels come last.
        labels: ``(N, n)`` float32, 0 or 1, in the order of the requested attributes.
        rows: ``(N,)`` int64, their row numbers in the dataset.
    """

    images: torch.Tensor
    labels: torch.Tensor
    rows: np.ndarray


class Faces:
    """A dataset's faces, opened by :func:`open_faces`.

    Attributes:
        dataset: where they come from.
        attributes: the names of the labels' columns.
        size: of the faces.
        labels: ``(rows, n)`` bool.
        unknown: ``(rows, n)`` bool, which labels are unknown; these are False in ``labels``.
        training: ``(t,)`` int64, ascending: the rows to train on.
        held_out: ``(h,)`` int64, ascending: the rows to validate on.
        test: ``(e,)`` int64, ascending: the rows of the test partition, for the final measurement.
        in_memory: whether all faces are decoded already.
    """

    def __init__(
        self,
        dataset: Dataset,
        attributes: Sequence[str],
        size: int,
        rows: Rows,
        split: Split,
        cache: np.ndarray | None,
        reader: PartReader,
        threads: int,
        window: int,
    ) -> None:
        self.dataset = dataset
        self.attributes = tuple(attributes)
        self.size = size
        self.labels = rows.labels
        self.unknown = rows.unknown
        self.training, self.held_out, self.test = split
        self.in_memory = cache is not None
        self._rows = rows
        self._cache = cache
        self._reader = reader
        self._threads = threads
        self._window = window
        self._streams: weakref.WeakSet[Prefetched[Batch]] = weakref.WeakSet()

    def take(self, rows: np.ndarray) -> Batch:
        """The faces of these rows ``(m,)``, in this order, unmirrored. Without a cache their parts are read whole.

        Raises:
            UserError: a part is missing or another one, or an image does not open.
        """
        rows = self._checked(rows)
        pixels = self._blank(len(rows), pin=False)
        if self._cache is not None:
            _gather(self._cache, rows, pixels)
        else:
            with decoding_pool(self._threads) as pool:
                parts = self._rows.part_of(rows)
                for part in np.unique(parts):
                    wanted = np.flatnonzero(parts == part)
                    images = self._reader.read(int(part), rows[wanted] - self._rows.starts[part])
                    decoded = np.empty((len(wanted), self.size, self.size, 3), dtype=np.uint8)
                    stored = self.dataset.manifest.images
                    decode_into(pool, [(images, i) for i in range(len(wanted))], stored, decoded)
                    pixels.numpy()[wanted] = decoded
        return self._batch(rows, pixels, pin=False)

    def batches(
        self,
        rows: np.ndarray,
        batch_size: int,
        *,
        seed: int,
        name: str,
        start: int = 0,
        flip: bool = True,
        pin: bool = False,
    ) -> Iterator[Batch]:
        """Batches of these rows, without end; each pass in a new order, its incomplete last batch dropped.

        Batch k is a function of the seed, the name, k, the batch size, the set of rows, and the dataset with its
        parts and the window; and of nothing else. Batches are made ahead in a thread, which ends with
        :meth:`close`, or when the iterator is closed or no longer in use.

        Args:
            rows: ``(m,)`` int64, each once, in any order: :attr:`training`, or some of it.
            batch_size: images in a batch.
            seed: of the order and of what is mirrored.
            name: of the stream; streams with different names are independent.
            start: how many batches have been consumed already.
            flip: mirror every other image, at random.
            pin: into page-locked memory, where there is a GPU to send it to.

        Raises:
            UserError: there are fewer rows than one batch takes; or, while iterating, a part is missing or
                another one, or an image does not open.
        """
        rows = np.unique(self._checked(rows))
        if not 1 <= batch_size <= len(rows):
            raise UserError(
                "batch-too-large",
                f"batch size {batch_size:,}: there are {len(rows):,} rows for the stream {name!r}",
            )
        order = Order(rows, self._rows.part_of(rows), seed, name, self._window)
        make = self._from_cache if self._cache is not None else self._from_parts
        settle_torch_threads()
        stream = Prefetched(
            partial(make, order, batch_size, start, flip, pin and torch.cuda.is_available()),
            _AHEAD,
            f"batches of {name}",
        )
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End the threads of all streams; they yield nothing more."""
        for stream in list(self._streams):
            stream.close()

    def __enter__(self) -> Faces:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _from_cache(
        self, order: Order, batch_size: int, start: int, flip: bool, pin: bool
    ) -> Generator[Batch, None, None]:
        assert self._cache is not None
        use_one_torch_thread()
        for step in order.steps(batch_size, start):
            pixels = self._blank(batch_size, pin)
            _gather(self._cache, step.rows, pixels)
            if flip:
                _mirror(pixels, flips(batch_size, order.seed, order.name, step.number))
            yield self._batch(step.rows, pixels, pin)

    def _from_parts(
        self, order: Order, batch_size: int, start: int, flip: bool, pin: bool
    ) -> Generator[Batch, None, None]:
        use_one_torch_thread()
        stored = self.dataset.manifest.images
        with ExitStack() as ending:
            decoders = ending.enter_context(decoding_pool(self._threads))
            readers = ThreadPoolExecutor(_READERS, "read parts")
            ending.callback(readers.shutdown, cancel_futures=True)
            window = Window(self._reader, self._rows.starts, order, readers)
            for step in order.steps(batch_size, start):
                window.move_to(step)
                pixels = self._blank(batch_size, pin)
                decode_into(decoders, window.images(step.rows), stored, pixels.numpy())
                if flip:
                    _mirror(pixels, flips(batch_size, order.seed, order.name, step.number))
                yield self._batch(step.rows, pixels, pin)

    def _blank(self, count: int, pin: bool) -> torch.Tensor:
        return torch.empty((count, self.size, self.size, 3), dtype=torch.uint8, pin_memory=pin)

    def _batch(self, rows: np.ndarray, pixels: torch.Tensor, pin: bool) -> Batch:
        labels = torch.from_numpy(self.labels[rows].astype(np.float32))
        return Batch(pixels.permute(0, 3, 1, 2), labels.pin_memory() if pin else labels, rows)

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self.labels)):
            raise ValueError(f"rows from {rows.min()} to {rows.max()}; there are {len(self.labels)}")
        return rows


def open_faces(
    dataset: Dataset,
    *,
    size: int,
    attributes: Sequence[str],
    seed: int = 0,
    validation_share: float = 0.05,
    cache_bytes: int | None = None,
    threads: int = 1,
    window: int = WINDOW,
    shared: Path | None = None,
    report: Report | None = None,
    required: Sequence[str] | None = None,
) -> Faces:
    """Open a dataset's faces for training.

    Args:
        dataset: what :func:`attgan.data.shards.open_dataset` opened, on a disk or on S3.
        size: of the faces, at most what is stored.
        attributes: names of the labels wanted, in the order wanted.
        seed: of the draw of the held-out rows.
        validation_share: of the rows held out where the dataset has no rows of the valid partition; see
            :func:`attgan.data.loading.split.split_rows`.
        cache_bytes: all faces are decoded now, and kept, if they take no more than this; else the parts are kept
            as they are stored, if those take no more. 0 keeps nothing, None means
            :func:`attgan.data.loading.cache.default_cache_bytes`.
        threads: that decode.
        window: parts between which rows are shuffled, at least 1; see :mod:`attgan.data.loading.order`.
        shared: a folder on this machine's own disk, through which its processes share what is decoded; see
            :func:`attgan.data.loading.shared.share_faces`. None keeps it in this process's memory.
        report: called with the number of decoded rows and of all rows while a cache is filled. What it raises
            ends the opening.
        required: the labels that have to be known for every row; None: all.

    Raises:
        UserError: there is no such attribute, a required one is unknown for some rows, the size is above what is
            stored, a part is missing or another one, an image does not open, or no rows are left to train on.
    """
    check_size(dataset.manifest.images, size)
    if threads < 1 or window < 1:
        raise UserError("setting-invalid", f"threads {threads}, window {window}: must be at least 1")
    rows = read_rows(dataset, attributes, required)
    split = split_rows(rows.partition, rows.identity, validation_share, seed)
    limit = default_cache_bytes() if cache_bytes is None else cache_bytes
    cache = None
    if cache_bytes_of(len(rows.labels), size) <= limit:
        if shared is not None:
            cache = share_faces(dataset, size, shared, threads, report)
        if cache is None:
            cache = decode_all(dataset, size, threads, report)
    reader = PartReader(dataset, keep=sum(part.bytes for part in dataset.manifest.parts) <= limit)
    return Faces(dataset, attributes, size, rows, split, cache, reader, threads, window)


def _gather(cache: np.ndarray, rows: np.ndarray, pixels: torch.Tensor) -> None:
    # With another mode than "raise", which has been checked for, NumPy writes straight into `out`.
    np.take(cache, rows, axis=0, out=pixels.numpy(), mode="clip")


def _mirror(pixels: torch.Tensor, chosen: np.ndarray) -> None:
    images = pixels.permute(0, 3, 1, 2)
    # One by one: torch has a fast kernel, and nothing else is copied.
    for i in np.flatnonzero(chosen).tolist():
        image = images[i : i + 1]
        image.copy_(image.flip(3))
