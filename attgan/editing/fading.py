"""Smooth ways from 0 to 1."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

EDGE = 0.08  # of a face's side: so far from its edges a window is 1


def smoothstep(values: Tensor) -> Tensor:
    """0 up to 0, 1 from 1 on, and 3x² - 2x³ between, which begins and ends level."""
    clamped = values.clamp(0, 1)
    return clamped * clamped * (3 - 2 * clamped)


@functools.lru_cache(maxsize=4)
def window(size: int) -> Tensor:
    """``(S, S)`` float32: 1 in the middle of a face, falling smoothly to exactly 0 in its outermost pixels.

    The same one for all who ask: not to be changed.
    """
    centres = torch.arange(size) + 0.5
    ramp = smoothstep((torch.minimum(centres, size - centres) - 0.5) / (EDGE * size))
    return ramp[:, None] * ramp[None, :]
