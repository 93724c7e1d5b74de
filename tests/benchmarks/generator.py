"""The generator alone on the CPU, beside what the machine's matrix multiplication would allow."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch

from attgan.editing.editor import make_editor
from attgan.models import Generator, GeneratorConfig, fresh
from tests.benchmarks.table import Row, peak_mb, rate


def flop_per_image(generator: Generator) -> float:
    """Floating point operations of one forward pass, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    size, attributes = generator.config.image_size, generator.config.n_attributes
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generator.eval()(torch.zeros(1, 3, size, size), torch.zeros(1, attributes))
    return float(counter.get_total_flops())


def machine_flops() -> float:
    """What the machine's float32 matrix multiplication reaches, in FLOP/s."""
    side = 2048
    a, b = torch.randn(side, side), torch.randn(side, side)
    return max(rate(lambda: a @ b, 1, repeats=1) for _ in range(10)) * 2 * side**3


def measure() -> Iterator[Row]:
    """Rows for the full and some smaller widths at batch 1, 16 and 64."""
    torch.set_num_threads(os.cpu_count() or 1)
    ceiling = machine_flops()
    for width in (64, 32, 16):
        generator = fresh(Generator, GeneratorConfig(width=width), seed=0)
        flop = flop_per_image(generator)
        for batch in (1, 16, 64):
            editor = make_editor(generator, "cpu", batch)
            faces = np.zeros((batch, 128, 128, 3), dtype=np.uint8)
            targets = np.zeros((batch, 13), dtype=np.float32)
            measured = rate(lambda: editor.edit(faces, targets), batch)  # noqa: B023 (called at once)
            yield Row(
                f"generator, width {width}, batch {batch}",
                measured,
                "img/s",
                "matrix multiplication",
                ceiling / flop,
                peak_mb(),
                f"{flop / 1e9:.2f} GFLOP/image",
            )
