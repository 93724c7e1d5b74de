"""Masks over a face square: where an edit may change pixels. Changes elsewhere are noise of the generator."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from attgan.attributes import Edit


class MaskBox(NamedTuple):
    """A rectangle in the face square, in shares of its side, measured from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


# From above the brows to the wings of the nose, and almost to the edges: large enough for the largest rendered glasses
# and for turned heads. Of generators that are trained on composites, :mod:`attgan.editing.compositing` has the place.
MASK_BOXES: Mapping[str, MaskBox] = MappingProxyType({"Eyeglasses": MaskBox(0.1, 0.37, 0.9, 0.72)})
"""The attributes whose place in a face is known. Edits of all others may change the whole face."""

# Width of the soft border inside a box, and of the one along the edges of the face square, in shares of its side.
_BOX_BORDER, _SQUARE_BORDER = 0.06, 0.08


def are_local(edits: Sequence[Edit]) -> bool:
    """Whether the place of all these edits in a face is known."""
    return bool(edits) and all(edit.attribute in MASK_BOXES for edit in edits)


def attribute_mask(edits: Sequence[Edit], size: int) -> Tensor | None:
    """The mask of some edits, which multiplies their change; None if one of them may change the whole face.

    Args:
        edits: made together.
        size: S, the face's side.

    Returns:
        ``(S, S)`` float32, 0 to 1. It is cached: do not write to it.
    """
    if not are_local(edits):
        return None
    return _union(frozenset(edit.attribute for edit in edits), size)


@functools.lru_cache(maxsize=4)
def _union(attributes: frozenset[str], size: int) -> Tensor:
    weights = [faded_box(MASK_BOXES[attribute], size) for attribute in attributes]
    return torch.stack(weights).amax(0)


def faded_box(box: MaskBox, size: int) -> Tensor:
    """``(S, S)``: 1 inside the box, falling smoothly to 0 at its sides, except where these are the square's own."""
    across, down = (_between(*ends, size) for ends in ((box.left, box.right), (box.top, box.bottom)))
    return down[:, None] * across[None, :]


def _between(start: float, end: float, size: int) -> Tensor:
    centres = (torch.arange(size) + 0.5) / size
    rising = torch.ones(size) if start <= 0 else smoothstep((centres - start) / _BOX_BORDER)
    falling = torch.ones(size) if end >= 1 else smoothstep((end - centres) / _BOX_BORDER)
    return rising * falling


@functools.lru_cache(maxsize=4)
def faded_square(size: int) -> Tensor:
    """``(S, S)`` float32: 1 in the middle of a face, falling smoothly to exactly 0 in its outermost pixels.

    It is cached: do not write to it.
    """
    centres = torch.arange(size) + 0.5
    ramp = smoothstep((torch.minimum(centres, size - centres) - 0.5) / (_SQUARE_BORDER * size))
    return ramp[:, None] * ramp[None, :]


def smoothstep(values: Tensor) -> Tensor:
    """0 below 0, 1 above 1, and 3x² - 2x³ between, whose slope is 0 at both ends."""
    clamped = values.clamp(0, 1)
    return clamped * clamped * (3 - 2 * clamped)
