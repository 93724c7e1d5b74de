"""The device that trains: batches are moved to it, and computed in parts where its memory does not hold them.

On a CPU freed memory is kept for the next step.
"""

import ctypes
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from attgan.data.loading.loader import Batch
from attgan.data.transforms import to_float, to_uint8

# malloc.h of the GNU C library
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


T = TypeVar("T")


@dataclass
class Split:
    """How batches are split, because the GPU's memory does not hold a whole one.

    Attributes:
        size: images in a part; None where batches are whole.
        since: the first step with such parts.
    """

    size: int | None = None
    since: int = 0

    def words(self, batch_size: int) -> str:
        """What it means for the result, as a clause; empty where batches are whole."""
        if self.size is None:
            return ""
        return (
            f"from step {self.since:,} on, batches of {batch_size} did not fit into the GPU's memory and were computed "
            f"in parts of {self.size}, of which BatchNorm saw one at a time"
        )


def fit(step: Callable[[int | None], T], split: Split, number: int, batch_size: int) -> T:
    """Do a step in parts of ``split.size`` images, and of half as many whenever the memory does not hold them.

    A failed attempt leaves its traces in the running statistics of batch norms, and nowhere else.

    Args:
        step: takes the number of images in a part; None for the whole batch.
        split: as it is before the step; it is changed here, for the steps to come, too.
        number: of the step, from 1.
        batch_size: of a whole batch.

    Raises:
        torch.OutOfMemoryError: the memory does not hold a single image.
    """
    while True:
        try:
            return step(split.size)
        except torch.OutOfMemoryError:
            if split.size == 1:
                raise
        # Not inside the except clause, where the exception still holds the tensors of the attempt.
        split.size, split.since = -(-(split.size or batch_size) // 2), number
        torch.cuda.empty_cache()


class Placed(NamedTuple):
    """A batch on its device.

    Attributes:
        images: (N, 3, S, S) float32 in [-1, 1], channels last, on the device.
        labels: (N, n) in {0, 1}, on the device.
        host_labels: the same on the CPU, where targets are drawn.
        rows: (N,) int64, row numbers in the dataset.
    """

    images: Tensor
    labels: Tensor
    host_labels: Tensor
    rows: np.ndarray


def placed(batches: Iterator[Batch], device: torch.device) -> Generator[Placed, None, None]:
    """Move each batch to the device. To a GPU it is copied from page-locked memory, while earlier steps are computed.

    The host runs ahead of a GPU, so a copy on a stream of its own overlaps with the computation.
    """
    if device.type != "cuda":
        for batch in batches:
            yield Placed(to_float(batch.images), batch.labels, batch.labels, batch.rows)
        return
    copying = torch.cuda.Stream(device)
    for batch in batches:
        computing = torch.cuda.current_stream(device)
        with torch.cuda.stream(copying):
            images = batch.images.to(device, non_blocking=True)
            labels = batch.labels.to(device, non_blocking=True)
        computing.wait_stream(copying)
        for tensor in (images, labels):
            tensor.record_stream(computing)
        yield Placed(to_float(images), labels, batch.labels, batch.rows)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a small tensor to the device without waiting for the copy."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def to_pixels(images: Tensor) -> Tensor:
    """(N, 3, S, S) in [-1, 1] → (N, S, S, 3) uint8 on the CPU."""
    return to_uint8(images).permute(0, 2, 3, 1).contiguous().cpu()


def keep_freed_memory() -> bool:
    """Keep freed memory in the process, for steps on a CPU.

    By default the GNU C library returns every freed block above 32 MB to the system. In the next step the system then
    clears and maps the pages of the large tensors again, which takes a quarter of a discriminator step (width 16,
    128 px, batch 128). The setting holds for the whole process from now on.

    Returns:
        Whether it worked: other C libraries do not have the setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
