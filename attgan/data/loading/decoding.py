"""Decodes the faces of a dataset's parts into the rows of one array, in several threads."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from attgan.data.shards import Dataset
from attgan.data.stored import Storage, unpack_face
from attgan.errors import DataError, UserError

# Images that a thread decodes at a time.
_CHUNK = 16


@dataclass(frozen=True)
class PartImages:
    """Images of one part, as they are stored.

    Attributes:
        path: of the part, for errors.
        image_ids: ``(n,)`` strings.
        data: ``(n,)`` bytes.
    """

    path: str
    image_ids: pa.ChunkedArray
    data: pa.ChunkedArray

    def take(self, rows: np.ndarray) -> PartImages:
        """Some of the images ``(m,)``. They are copied, unless these are all in their order."""
        if np.array_equal(rows, np.arange(len(self.data))):
            return self
        return PartImages(self.path, self.image_ids.take(pa.array(rows)), self.data.take(pa.array(rows)))

    def face(self, index: int, stored: Storage, size: int) -> np.ndarray:
        """The face ``(size, size, 3)`` uint8 of one image.

        Raises:
            UserError: the image does not open.
        """
        try:
            return unpack_face(self.data[index].as_py(), stored, size)
        except DataError as error:
            name = self.image_ids[index].as_py()
            raise UserError(
                "stored-image-broken", f"{self.path}: {name}: {error}; make the dataset again"
            ) from error


def read_images(dataset: Dataset, part: int) -> PartImages:
    """Read a part, verify it, and keep its images.

    Raises:
        UserError: the part is missing or is another one.
    """
    table = dataset.read(part)
    return PartImages(dataset.path(part), table.column("image_id"), table.column("image"))


def decode_into(
    pool: Executor, images: Sequence[tuple[PartImages, int]], stored: Storage, out: np.ndarray
) -> None:
    """Decode images, each named by its part's images and its index there, into ``out`` (n, S, S, 3) uint8.

    Raises:
        UserError: an image does not open. ``subset`` and ``ingest`` open every image before they store it, so the
            dataset was changed, or other software made it. No row is skipped silently.
    """

    def some(start: int) -> None:
        for i in range(start, min(start + _CHUNK, len(images))):
            part, index = images[i]
            out[i] = part.face(index, stored, out.shape[1])

    for _ in pool.map(some, range(0, len(images), _CHUNK)):
        pass


def decoding_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that decode. Within each, torch uses no threads of its own: these would compete for the same CPUs."""
    settle_torch_threads()
    return ThreadPoolExecutor(threads, "decode", use_one_torch_thread)


def settle_torch_threads() -> None:
    """Fix the number of torch's threads for this thread, whatever other threads set from here on.

    Torch reads its process-wide default when a thread first asks for the number.
    """
    torch.get_num_threads()


def use_one_torch_thread() -> None:
    """Have torch compute in this thread alone, whatever is called from it."""
    torch.set_num_threads(1)
    torch.get_num_threads()
