"""How ``tests.benchmarks.gpu`` measures: rates by precision and batch, halved where memory runs out."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import torch

from attgan.models import Bundle
from flows.bench.rate import repeat
from flows.runtime.stages import set_torch_threads
from tests.benchmarks.table import Row, peak_mb

Precision = Literal["float32", "TF32", "bfloat16"]
Measurement = Callable[[], list[Row] | str]
# The most telling first, in case the time runs out.
VARIANTS: tuple[tuple[Precision, bool], ...] = (
    ("bfloat16", True),
    ("float32", False),
    ("bfloat16", False),
    ("TF32", False),
    ("TF32", True),
    ("float32", True),
)


@dataclass
class Bench:
    """What all parts measure with.

    Attributes:
        device: "cuda" or "cpu".
        width, size: of the networks.
        bundle: at ``bundle_url``, with a classifier.
        sources: folders of images to edit, and the same files' bytes, by ``faces`` and ``photographs``.
        dataset: URL of the faces to train on.
        scratch: for what is written.
        batches, train_batches: images in a batch, ascending.
        edit_batch, train_batch: of an edit and a training; what is measured batch by batch begins with them.
        seconds: of each measurement.
        compiled: whether to compile as well.
        naive: rates of the naive ways by what and batch, so that each is measured once.
    """

    device: str
    width: int
    size: int
    bundle: Bundle
    bundle_url: str
    sources: dict[str, tuple[Path, Sequence[bytes]]]
    dataset: str
    scratch: Path
    batches: tuple[int, ...]
    train_batches: tuple[int, ...]
    edit_batch: int
    train_batch: int
    processes: tuple[int, ...]
    cpus: int
    seconds: float
    compiled: bool
    naive: dict[tuple[str, int], Any] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def variants(self) -> list[tuple[Precision, bool]]:
        return [
            (precision, compiled)
            for precision, compiled in VARIANTS
            if (self.on_gpu or precision != "TF32") and (self.compiled or not compiled)
        ]

    def rate(self, work: Callable[[], object], images: int, threads: int = 1) -> float:
        """Images per second of ``work``, which does so many and is waited for."""

        def one() -> int:
            work()
            self.wait()
            return images

        own = 1 if threads > 1 or self.on_gpu else self.cpus
        return repeat(one, self.seconds, threads, partial(set_torch_threads, own)).per_second

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def peak(self) -> float:
        """The most memory so far in MB: the GPU's since the last time, or this process's."""
        if not self.on_gpu:
            return peak_mb()
        most = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return most


def halving(batch: int, measure: Callable[[int], list[Row]]) -> tuple[list[Row], int]:
    """Measure with a batch, or with the half of it as often as memory runs out; the rows and the batch it was."""
    asked = batch
    while True:
        try:
            rows = measure(batch)
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        # Outside the clause: the exception holds what fills the memory.
        batch //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    note = "" if batch == asked else f"memory ran out at {asked}; batch {batch}"
    return [replace(row, note="; ".join(filter(None, (row.note, note)))) for row in rows], batch


def climb(
    variants: Sequence[tuple[Precision, bool]],
    first: int,
    batches: Sequence[int],
    measure: Callable[[Precision, bool, int], list[Row]],
) -> Iterator[Measurement]:
    """All variants with the first batch, then each with the others, up to where memory does not suffice."""
    for some in ((first,), [batch for batch in batches if batch != first]):
        for variant in variants:
            yield from ladder(some, partial(measure, *variant))


def ladder(batches: Sequence[int], measure: Callable[[int], list[Row]]) -> Iterator[Measurement]:
    """A measurement per batch, up to the one for which memory does not suffice."""
    for batch in batches:
        used = [batch]

        def one(batch: int = batch, used: list[int] = used) -> list[Row]:
            rows, used[0] = halving(batch, measure)
            return rows

        yield one
        if used[0] < batch:
            return


@contextlib.contextmanager
def numbers(precision: Precision) -> Iterator[None]:
    """Float32 in full, or rounded to TF32 in products; beside bfloat16 as torch has it by default."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32, matmul.allow_tf32 = precision != "float32", precision == "TF32"
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


@contextlib.contextmanager
def timed(**functions: tuple[Any, str]) -> Iterator[Counter[str]]:
    """The seconds that threads spend in functions, each given as its owner and its name there."""
    seconds: Counter[str] = Counter()
    lock = threading.Lock()

    def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                with lock:
                    seconds[name] += time.perf_counter() - started

        return call

    with contextlib.ExitStack() as patches:
        for name, (owner, attribute) in functions.items():
            function = wrapped(name, getattr(owner, attribute))
            patches.enter_context(mock.patch.object(owner, attribute, function))
        yield seconds
