"""Where in a face an edit may show. What differs elsewhere between a face with the edit and without it is chance."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from attgan.attributes import Edit
from attgan.editing.fading import smoothstep


class MaskBox(NamedTuple):
    """An upright part of the face square, in shares of its side from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


# From above the brows to the wings of the nose, almost to the edges: the largest of drawn glasses, and a head
# that is turned, have room in it.
MASK_BOXES: Mapping[str, MaskBox] = MappingProxyType({"Eyeglasses": MaskBox(0.1, 0.37, 0.9, 0.72)})
"""The attributes whose place in a face is known; the others show anywhere."""

_FADE = 0.06  # of the side, within a reach


def attribute_mask(edits: Sequence[Edit], size: int) -> Tensor | None:
    """How much of a change may stay where in a face; None for edits of which one may show anywhere.

    Args:
        edits: made together.
        size: S, the face's side.

    Returns:
        ``(S, S)`` float32, 0 to 1, not to be changed.
    """
    if not edits or any(edit.attribute not in MASK_BOXES for edit in edits):
        return None
    return _union(frozenset(edit.attribute for edit in edits), size)


@functools.lru_cache(maxsize=4)
def _union(attributes: frozenset[str], size: int) -> Tensor:
    weights = [faded_box(MASK_BOXES[attribute], size) for attribute in attributes]
    return torch.stack(weights).amax(0)


def faded_box(reach: MaskBox, size: int) -> Tensor:
    """1 in the middle of a reach, ``(S, S)``, falling smoothly to 0 at those of its sides that are not the square's."""
    across, down = (_between(*ends, size) for ends in ((reach.left, reach.right), (reach.top, reach.bottom)))
    return down[:, None] * across[None, :]


def _between(start: float, end: float, size: int) -> Tensor:
    centres = (torch.arange(size) + 0.5) / size
    rising = torch.ones(size) if start <= 0 else smoothstep((centres - start) / _FADE)
    falling = torch.ones(size) if end >= 1 else smoothstep((end - centres) / _FADE)
    return rising * falling
