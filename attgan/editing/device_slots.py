"""Runs batches through the generator on a device.

On a GPU there are two CUDA-stream slots, for two editing threads. Each has a stream and page-locked memory of its own,
so that one batch is copied while the other is computed. On a GPU the generator is also compiled. On a CPU a slot is a
plain call.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from attgan.data.transforms import to_float, to_uint8
from attgan.models import Generator

logger = logging.getLogger(__name__)

SLOTS_PER_GPU = 2
"""The number of threads that can edit on one GPU at the same time."""

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Faces ``(B, S, S, 3)`` uint8 and targets ``(B, n)`` float32 to edited faces, all on the device.

n counts attributes and styles.
"""


class FittingForward:
    """A forward pass that continues in parts of the batch once the device's memory does not hold a whole one.

    All parts have the same size, so that a face's bits do not depend on its place. They may differ in the last place
    from those of a whole batch, so the change is logged.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._size: int | None = None

    def __call__(self, faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The forward pass.

        Raises:
            torch.OutOfMemoryError: the memory does not hold a single face.
        """
        while True:
            size = self._size or len(faces)
            try:
                parts = zip(faces.split(size), targets.split(size), strict=True)
                return torch.cat([self._forward(*part) for part in parts])
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # Not inside the except clause, where the exception still holds the tensors of the attempt.
            smaller = range(size // 2, 0, -1)
            self._size = next(each for each in smaller if len(faces) % each == 0)
            torch.cuda.empty_cache()
            logger.warning(
                "the GPU's memory does not hold a batch of %s: it is edited in parts of %s, with other last bits",
                size,
                self._size,
            )


class StreamSlot:
    """Buffers and a CUDA stream for one batch. Used by one thread at a time.

    Args:
        forward: the generator.
        device: where it runs.
        faces: the shape of a batch, ``(B, S, S, 3)``.
        attributes: n, the length of a target: attributes and styles.
    """

    def __init__(
        self, forward: Forward, device: torch.device, faces: tuple[int, int, int, int], attributes: int
    ) -> None:
        on_gpu = device.type == "cuda"
        self._forward, self._device = forward, device
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        # A blocking event lets the thread sleep while it waits, so that the codec has the CPU core. Waiting for the
        # stream itself would keep the core busy.
        self._done = torch.cuda.Event(blocking=True) if on_gpu else None
        self._faces = torch.empty(faces, dtype=torch.uint8, pin_memory=on_gpu)
        self._targets = torch.empty((faces[0], attributes), pin_memory=on_gpu)
        self._edited = torch.empty(faces, dtype=torch.uint8, pin_memory=on_gpu)

    def edit(self, faces: np.ndarray, targets: np.ndarray, edited: np.ndarray) -> None:
        """Edit up to B faces ``(N, S, S, 3)`` uint8 towards ``(N, n)`` targets. The result is written to ``edited``.

        The batch is always full: the last face is repeated until it is.
        """
        fill_batch(self._faces.numpy(), faces)
        fill_batch(self._targets.numpy(), targets)
        with torch.inference_mode(), torch.cuda.stream(self._stream), deterministic(self._device):
            result = self._forward(
                self._faces.to(self._device, non_blocking=True),
                self._targets.to(self._device, non_blocking=True),
            )
            self._edited.copy_(result, non_blocking=True)
        if self._done is not None:
            self._done.record(self._stream)
            self._done.synchronize()
        edited[:] = self._edited.numpy()[: len(edited)]


StreamSlots = Callable[[], contextlib.AbstractContextManager[StreamSlot]]
"""Gives a slot for the time of a ``with`` block."""


def open_slots(generator: Generator, device: torch.device, batch_size: int) -> StreamSlots:
    """The slots of a generator: on a GPU :data:`SLOTS_PER_GPU` of them, on a CPU a new one for each caller."""
    config = generator.config
    faces, attributes = (batch_size, config.image_size, config.image_size, 3), config.n_inputs
    forward = make_forward(generator, device)
    if device.type != "cuda":
        return lambda: contextlib.nullcontext(StreamSlot(forward, device, faces, attributes))
    with torch.cuda.device(device):
        forward = FittingForward(compile_if_possible(forward, *_blank_batch(device, faces, attributes)))
        # The weights were copied on another stream, which the slots' streams do not wait for.
        torch.cuda.synchronize()
        return share_slots(StreamSlot(forward, device, faces, attributes) for _ in range(SLOTS_PER_GPU))


def share_slots(slots: Iterable[StreamSlot]) -> StreamSlots:
    """Share these slots among threads. A thread waits while all of them are taken."""
    free: queue.SimpleQueue[StreamSlot] = queue.SimpleQueue()
    for slot in slots:
        free.put(slot)

    @contextlib.contextmanager
    def taken() -> Iterator[StreamSlot]:
        slot = free.get()
        try:
            yield slot
        finally:
            free.put(slot)

    return taken


def make_forward(generator: Generator, device: torch.device, bfloat16: bool | None = None) -> Forward:
    """The generator from pixels to pixels. With ``bfloat16``, the default on a GPU, it runs under torch's autocast."""
    reduced = device.type == "cuda" if bfloat16 is None else bfloat16

    def forward(faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            edited = generator(as_images(faces), targets)
        # (B, 3, S, S) to (B, S, S, 3).
        return to_uint8(edited).permute(0, 2, 3, 1).contiguous()

    return forward


def compile_if_possible(forward: Forward, faces: torch.Tensor, targets: torch.Tensor) -> Forward:
    """``forward`` compiled for batches of this shape, or ``forward`` itself if torch cannot compile it.

    For example, Triton needs a C compiler. Each of the two always gives the same bits, but the last bits of the two
    differ, so the fallback is logged.
    """
    compiled: Forward = torch.compile(forward, dynamic=False)
    try:
        with torch.inference_mode(), deterministic(faces.device):
            compiled(faces, targets)
    except torch.OutOfMemoryError:
        # Not the compiler's failure: :class:`FittingForward` finds a size that fits, and it is compiled for that.
        return compiled
    # The compiler's layers raise exceptions of nearly any type, and the generator also runs without them.
    except Exception as error:
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        logger.warning("the generator runs uncompiled, slower and with other last bits: %s", reason)
        return forward
    return compiled


def as_images(faces: torch.Tensor) -> torch.Tensor:
    """Faces ``(N, S, S, 3)`` uint8 as a network's input: ``(N, 3, S, S)`` float32 in [-1, 1], channels last."""
    return to_float(faces.permute(0, 3, 1, 2))


def fill_batch(batch: np.ndarray, rows: np.ndarray) -> None:
    """Copy rows into a batch, and repeat the last one until the batch is full."""
    batch[: len(rows)] = rows
    batch[len(rows) :] = rows[-1]


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a GPU: deterministic cuDNN algorithms only, and one CPU thread. Nothing changes on a CPU.

    Some of cuDNN's algorithms for transposed convolutions give other bits each time. And compiled code is valid for one
    number of CPU threads only: with another it would be compiled again. Whether float32 convolutions may use TF32 is
    not changed. Both are settings of the whole process, hence the lock: one thread at a time launches its batch.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with (
        _process_settings,
        cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32),
    ):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


_process_settings = threading.Lock()


def _blank_batch(
    device: torch.device, faces: tuple[int, ...], attributes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.zeros(faces, dtype=torch.uint8, device=device),
        torch.zeros((faces[0], attributes), device=device),
    )
