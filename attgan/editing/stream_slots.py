"""A batch's way to the device and back.

On a GPU there are two lanes, each with a stream and page-locked memory of its own, for two threads that edit: while one
batch is computed the other one is copied to and fro, and the generator is compiled. On a CPU a lane is a plain call.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from attgan.models import Generator

logger = logging.getLogger(__name__)

ON_GPU = 2
"""Lanes, and so threads that may edit side by side, on one GPU."""

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Faces ``(B, S, S, 3)`` uint8 and targets ``(B, n)`` float32 to edited faces, all on the device."""


class StreamSlot:
    """Room for one batch, for one thread at a time.

    Args:
        forward: what is done with a batch on the device.
        device: where.
        faces: the shape of a batch, ``(B, S, S, 3)``.
        attributes: n, the length of a target.
    """

    def __init__(
        self, forward: Forward, device: torch.device, faces: tuple[int, int, int, int], attributes: int
    ) -> None:
        on_gpu = device.type == "cuda"
        self._forward, self._device = forward, device
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        # Waiting for it leaves the core to the codec; waiting for the stream would keep it busy.
        self._done = torch.cuda.Event(blocking=True) if on_gpu else None
        self._faces = torch.empty(faces, dtype=torch.uint8, pin_memory=on_gpu)
        self._targets = torch.empty((faces[0], attributes), pin_memory=on_gpu)
        self._edited = torch.empty(faces, dtype=torch.uint8, pin_memory=on_gpu)

    def edit(self, faces: np.ndarray, targets: np.ndarray, edited: np.ndarray) -> None:
        """Edit up to B faces ``(N, S, S, 3)`` uint8 towards ``(N, n)`` targets, into ``edited``, which is like them.

        The last of them fills up the batch.
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
"""A lane for the time of a ``with`` block."""


def open_slots(generator: Generator, device: torch.device, batch_size: int) -> StreamSlots:
    """The lanes to a generator that is on its device: on a GPU :data:`ON_GPU`, on a CPU one for everybody who asks."""
    config = generator.config
    faces, attributes = (batch_size, config.image_size, config.image_size, 3), config.n_inputs
    forward = forward_of(generator, device)
    if device.type != "cuda":
        return lambda: contextlib.nullcontext(StreamSlot(forward, device, faces, attributes))
    with torch.cuda.device(device):
        forward = compiled_or(forward, *_nothing(device, faces, attributes))
        torch.cuda.synchronize()  # the lanes' streams do not wait for the one that brought the weights
        return shared(StreamSlot(forward, device, faces, attributes) for _ in range(ON_GPU))


def shared(slots: Iterable[StreamSlot]) -> StreamSlots:
    """These lanes for whoever asks; who comes when all are taken waits."""
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
    """The generator between pixels and pixels; in bfloat16 where torch's autocast allows it, by default on a GPU."""
    reduced = device.type == "cuda" if bfloat16 is None else bfloat16

    def forward(faces: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            edited = generator(as_images(faces), targets)
        pixels = ((edited.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).contiguous()  # (B, S, S, 3)

    return forward


def compiled_or(forward: Forward, faces: torch.Tensor, targets: torch.Tensor) -> Forward:
    """``forward`` compiled for batches of this shape; itself where torch cannot (no C compiler for Triton, say).

    Compiled or not, results repeat to the bit, but the two differ in the last ones; so the fallback is logged.
    """
    compiled: Forward = torch.compile(forward, dynamic=False)
    try:
        with torch.inference_mode(), settled(faces.device):
            compiled(faces, targets)
    except Exception as error:  # whatever the compiler's many layers raise: the work can be done without them
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        logger.warning("the generator runs uncompiled, slower and with other last bits: %s", reason)
        return forward
    return compiled


def as_images(faces: torch.Tensor) -> torch.Tensor:
    """Faces ``(N, S, S, 3)`` uint8 as networks want them: ``(N, 3, S, S)`` float32 in [-1, 1], channels last."""
    return faces.permute(0, 3, 1, 2).float() / 127.5 - 1


def fill(batch: np.ndarray, rows: np.ndarray) -> None:
    """Copy rows into a batch; the last one fills the rest."""
    batch[: len(rows)] = rows
    batch[len(rows) :] = rows[-1]


@contextlib.contextmanager
def settled(device: torch.device) -> Iterator[None]:
    """On a GPU: only cuDNN's algorithms that give the same bits every time, which some of those for transposed
    convolutions do not; and one CPU thread, because what was compiled is good for one number of threads alone. Whether
    convolutions of float32 may use TF32 stays as it is.

    Both are switches of the process, so one thread at a time sends its batch off.
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
