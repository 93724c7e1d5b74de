"""The two training steps, beside the same steps written naively and beside the machine's matrix multiplication.

On a CPU both loops run with freed memory kept, which a naive one alone would not do: at batch 128 that costs it a
third more time.

On a machine with a GPU (no Ray, Prefect or S3 needed):
``python -m tests.benchmarks.training --device cuda --width 64 --batch 128``
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from attgan.training.device import keep_freed_memory
from attgan.training.losses import gradient_penalty
from attgan.training.steps import backward
from tests.benchmarks.training_steps import Case, Steps, batch, naive_steps, networks, our_steps

if TYPE_CHECKING:
    from tests.benchmarks.table import Row

DISCRIMINATOR_STEPS = 3


@dataclass(frozen=True)
class Flop:
    """Floating point operations per image, as torch counts them: convolutions and matrix products."""

    discriminator: float
    # Part of the discriminator's.
    penalty: float
    generator: float


def flop_per_image(width: int, size: int) -> Flop:
    """Counted on one image, forward and backward."""
    case = Case(width, size, batch=1)
    steps = our_steps(case)
    _, discriminator = networks(case)
    images, _ = batch(case)

    def count(work: Callable[[], object]) -> float:
        with _FlopCounter() as counter:
            work()
        return counter.total

    return Flop(
        count(steps.discriminator),
        count(lambda: backward(gradient_penalty(discriminator.critic, images), discriminator)),
        count(steps.generator),
    )


class _FlopCounter(TorchDispatchMode):
    """Torch's own formulas; its ``FlopCounterMode`` cannot be used, it refuses ``autograd.grad`` of a leaf."""

    total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func.overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """What the machine's matrix multiplication reaches, in FLOP/s; float32 in TF32 on a GPU, as in convolutions."""
    side = 2048 if device == "cpu" else 8192
    repeats = 1 if device == "cpu" else 10
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def work() -> None:
        for _ in range(repeats):
            a @ b

    try:
        work()
        return 2 * side**3 * repeats / min(_seconds(work, device) for _ in range(8))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def step_seconds(case: Case, budget: float) -> tuple[dict[str, float], dict[str, float]]:
    """Least seconds of each step, ours and naive, measured in turn so that both meet the same machine.

    The least, because what else runs on the machine only ever adds to it.

    Args:
        case: what is measured.
        budget: seconds after which no further round is begun; there are two at least, and one to warm up.
    """
    per_round = 1 if case.device == "cpu" else 10
    loops = [our_steps(case), naive_steps(case)]
    least = [{"discriminator": math.inf, "generator": math.inf} for _ in loops]
    started, rounds = time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - started < budget:
        for loop, found in zip(loops, least, strict=True):
            for name, best in found.items():
                step = getattr(loop, name)
                seconds = _seconds(lambda: [step() for _ in range(per_round)], case.device) / per_round  # noqa: B023
                found[name] = min(best, seconds) if rounds else math.inf
        rounds += 1
    return least[0], least[1]


def gpu_peak(make: Callable[[Case], Steps], case: Case) -> float:
    """The most GPU memory that a loop holds, in MB."""
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    loop = make(case)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        loop.discriminator()
        loop.generator()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _seconds(work: Callable[[], object], device: str) -> float:
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Result:
    """Images per second of a step or a cycle; a cycle's images are those of all its batches."""

    what: str
    rate: float
    naive: float
    # Per image.
    gflop: float
    # The share of what the machine's matrix multiplication would allow that is reached.
    share: float


def compare(case: Case, budget: float) -> Iterator[Result]:
    """Discriminator step, generator step and the cycle of three to one."""
    if case.device == "cpu":
        torch.set_num_threads(os.cpu_count() or 1)
        keep_freed_memory()
    flop = flop_per_image(case.width, case.size)
    full = matmul_rate(case.device, torch.float32)
    fast = full if case.precision == "float32" else matmul_rate(case.device, torch.bfloat16)
    floor = {
        "discriminator": (flop.discriminator - flop.penalty) / fast + flop.penalty / full,
        "generator": flop.generator / fast,
    }
    ours, naive = step_seconds(case, budget)
    steps = {
        "discriminator step": {"discriminator": 1, "generator": 0},
        "generator step": {"discriminator": 0, "generator": 1},
        f"cycle of {DISCRIMINATOR_STEPS}:1": {"discriminator": DISCRIMINATOR_STEPS, "generator": 1},
    }
    for what, counts in steps.items():
        batches = sum(counts.values())

        def per_image(each: dict[str, float]) -> float:
            return sum(count * each[name] for name, count in counts.items()) / batches  # noqa: B023

        seconds = per_image(ours) / case.batch
        yield Result(
            what,
            1 / seconds,
            case.batch / per_image(naive),
            per_image({"discriminator": flop.discriminator, "generator": flop.generator}) / 1e9,
            per_image(floor) / seconds,
        )


def measure() -> Iterator[Row]:
    """Rows for some widths and sizes on the CPU."""
    from tests.benchmarks.table import Row, peak_mb

    for case in (Case(16, 64, 32), Case(16, 128, 32), Case(64, 128, 4)):
        for result in compare(case, budget=6):
            yield Row(
                f"{result.what}, width {case.width}, {case.size} px, batch {case.batch}",
                result.rate,
                "img/s",
                "naive loop",
                result.naive,
                peak_mb(),
                f"{result.gflop:.2f} GFLOP/image, {result.share:.0%} of matrix multiplication",
            )


def main() -> None:
    """Measure one case and print it, with nothing but torch and this project's library."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20, help="to measure for")
    asked = parser.parse_args()
    case = Case(asked.width, asked.size, asked.batch, asked.device)
    print(f"torch {torch.__version__}, {case}, ours in {case.precision}, naive in float32")
    for result in compare(case, asked.seconds):
        print(
            f"{result.what:20} {result.rate:10,.1f} img/s   naive {result.naive:10,.1f}   "
            f"{result.rate / result.naive:5.2f} times   {result.gflop:6.2f} GFLOP/image   "
            f"{result.share:4.0%} of the floor"
        )
    if case.device == "cuda":
        ours, naive = gpu_peak(our_steps, case), gpu_peak(naive_steps, case)
        print(f"GPU memory at most: {ours:,.0f} MB, naive {naive:,.0f} MB")


if __name__ == "__main__":
    main()
