"""The change that an edit makes to a face, computed as in the generator's own training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from attgan.attributes import Edit
from attgan.data.transforms import Pixels
from attgan.editing import compositing
from attgan.editing import difference as thresholded
from attgan.editing.attribute_mask import attribute_mask
from attgan.editing.enlarging import MOST, enlarged
from attgan.models import GeneratorConfig

ROUNDING = 2 / 255
"""Differences of this size are halved, and smaller ones vanish. Two images in whole grey levels differ by so much
through rounding alone; in training they were not rounded."""

LEAST = 1 / 512
"""Weaker changes alter no pixel by a grey level."""

LARGER = 1.5
"""A face more than so many times as large as the generator's output gets a change with steep edges."""


def mask_of(config: GeneratorConfig, edits: Sequence[Edit]) -> Tensor | None:
    """The edit mask ``(S, S)``, 0 to 1: where in a face the edits may change pixels. None: everywhere."""
    mask = attribute_mask(edits, config.image_size)
    if config.compositing == "thresholded" or mask is None:
        return mask
    return compositing.edit_mask(config.image_size)


def change_of(
    config: GeneratorConfig, edits: Sequence[Edit], edited: Pixels, unedited: Pixels, side: float
) -> Tensor:
    """How far each pixel of a face moves towards black or white.

    Args:
        config: of the generator; its ``compositing`` decides how.
        edits: the requested edits. Those of attributes other than glasses may change the whole face, and are always
            thresholded.
        edited: ``(S, S, 3)`` uint8, the generator's output with the edits.
        unedited: likewise, without them.
        side: of the face square in the photograph, in its pixels.

    Returns:
        ``(3, S, S)`` float32, -1 (black) to 1 (white); of a face that is larger in the photograph than the generator
        draws it ``(3, f·S, f·S)``, up to four times the size, with steep edges.
    """
    allowed = attribute_mask(edits, len(edited))
    if config.compositing == "thresholded" or allowed is None:
        return thresholded.relative_change(edited, unedited, allowed)
    before = _planes(unedited)
    difference = _planes(edited) - before
    square = difference * difference
    after = before + difference * (square / (square + ROUNDING * ROUNDING))
    mask = compositing.edit_mask(len(edited))
    change = compositing.relative_change(after, before, mask)
    if side > LARGER * len(edited):
        factor = min(MOST, math.ceil(side / len(edited)))
        change = _enlarged_within(change, mask, factor)
    # Changes below a grey level are dropped, so that those pixels stay equal to the bit.
    return torch.where(change.abs() < LEAST, 0.0, change)


def _enlarged_within(change: Tensor, mask: Tensor, factor: int) -> Tensor:
    """The change at ``factor`` times the size, 0 where the mask is 0. Only the mask's rows and columns are computed."""
    inside = mask > 0
    rows, columns = (inside.any(axis).nonzero() for axis in (1, 0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    whole = change.new_zeros(3, *(factor * side for side in change.shape[1:]))
    allowed = inside[top:bottom, left:right].repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    whole[:, factor * top : factor * bottom, factor * left : factor * right] = (
        enlarged(change[:, top:bottom, left:right], factor) * allowed
    )
    return whole


def _planes(face: Pixels) -> Tensor:
    return torch.from_numpy(face).permute(2, 0, 1).float() / 255
