"""Runs batches through the generator on a device.

On a GPU there are two CUDA-stream slots, for two editing threads. Each has a stream and page-locked memory of its own,
so that one batch is copied while the other is computed. The generator is compiled there. On a CPU a slot is a plain
call.
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

ON_GPU = 2
"""Slots on one GPU, and so threads that can edit at the same time."""

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Faces ``(B, S, S, 3)`` uint8 and targets ``(B, n)`` float32 to edited faces, all on the device."""


class StreamSlot:
    """Buffers and a CUDA stream for one batch. Used by one thread at a time.

    Args:
        forward: the generator.
        device: where it runs.
        faces: the shape of a batch, ``(B, S, S, 3)``.
        attributes: n, the length of a target.
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

        The batch is always full: the last face is repeated.
        """
        fill(self._faces.numpy(), faces)
        fill(self._targets.numpy(), targets)
        with torch.inference_mode(), torch.cuda.stream(self._stream), settled(self._device):
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
    """The slots of a generator on its device: on a GPU :data:`ON_GPU` of them, on a CPU a new one for each caller."""
    config = generator.config
    faces, attributes = (batch_size, config.image_size, config.image_size, 3), config.n_inputs
    forward = forward_of(generator, device)
    if device.type != "cuda":
        return lambda: contextlib.nullcontext(StreamSlot(forward, device, faces, attributes))
    with torch.cuda.device(device):
        forward = compiled_or(forward, *_nothing(device, faces, attributes))
        # The weights were copied on another stream, which the slots' streams do not wait for.
        torch.cuda.synchronize()
        return shared(StreamSlot(forward, device, faces, attributes) for _ in range(ON_GPU))


def shared(slots: Iterable[StreamSlot]) -> StreamSlots:
    """Share these slots among threads. A thread that finds all of them taken waits."""
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


def forward_of(generator: Generator, device: torch.device, bfloat16: bool | None = None) -> Forward:
    """The generator from pixels to pixels. With ``bfloat16``, the default on a GPU, it runs under torch's autocast."""
    reduced = device.type == "cuda" if bfloat16 is None else bfloat16

    def forward(faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            edited = generator(as_images(faces), targets)
        # (B, S, S, 3)
        return to_uint8(edited).permute(0, 2, 3, 1).contiguous()

    return forward


def compiled_or(forward: Forward, faces: torch.Tensor, targets: torch.Tensor) -> Forward:
    """``forward`` compiled for batches of this shape, or ``forward`` itself where torch cannot compile it.

    (Triton needs a C compiler, for example.) Both repeat their results to the bit, but they differ from each other in
    the last bits, so the fallback is logged.
    """
    compiled: Forward = torch.compile(forward, dynamic=False)
    try:
        with torch.inference_mode(), settled(faces.device):
            compiled(faces, targets)
    # The compiler's many layers raise nearly anything, and the work can be done without them.
    except Exception as error:
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        logger.warning("the generator runs uncompiled, slower and with other last bits: %s", reason)
        return forward
    return compiled


def as_images(faces: torch.Tensor) -> torch.Tensor:
    """Faces ``(N, S, S, 3)`` uint8 as networks want them: ``(N, 3, S, S)`` float32 in [-1, 1], channels last."""
    return to_float(faces.permute(0, 3, 1, 2))


def fill(batch: np.ndarray, rows: np.ndarray) -> None:
    """Copy rows into a batch; the last one fills the rest."""
    batch[: len(rows)] = rows
    batch[len(rows) :] = rows[-1]


@contextlib.contextmanager
def settled(device: torch.device) -> Iterator[None]:
    """On a GPU: deterministic cuDNN algorithms only, and one CPU thread. Nothing changes on a CPU.

    Some of cuDNN's algorithms for transposed convolutions give other bits each time. And compiled code is valid for one
    number of CPU threads only: with another it would be compiled again. Whether float32 convolutions may use TF32 stays
    as it is. Both are settings of the whole process, hence the lock: one thread at a time launches its batch.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with (
        _switching,
        cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32),
    ):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


_switching = threading.Lock()


def _nothing(
    device: torch.device, faces: tuple[int, ...], attributes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.zeros(faces, dtype=torch.uint8, device=device),
        torch.zeros((faces[0], attributes), device=device),
    )
