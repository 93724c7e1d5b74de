"""Smooth transitions from 0 to 1."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

# Width of a window's soft border, as a share of the face's side.
EDGE = 0.08


def smoothstep(values: Tensor) -> Tensor:
    """0 below 0, 1 above 1, and 3x² - 2x³ between, whose slope is 0 at both ends."""
    clamped = values.clamp(0, 1)
    return clamped * clamped * (3 - 2 * clamped)


@functools.lru_cache(maxsize=4)
def window(size: int) -> Tensor:
    """``(S, S)`` float32: 1 in the middle of a face, falling smoothly to exactly 0 in its outermost pixels.

    It is cached: do not write to it.
    """
    centres = torch.arange(size) + 0.5
    ramp = smoothstep((torch.minimum(centres, size - centres) - 0.5) / (EDGE * size))
    return ramp[:, None] * ramp[None, :]
