"""The device that trains: batches are moved to it, and on a CPU freed memory is kept for the next step."""

import ctypes
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from attgan.data.loading.loader import Batch
from attgan.data.transforms import to_float, to_uint8

# malloc.h of the GNU C library
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


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
