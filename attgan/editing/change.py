"""The change that an edit makes to a face, as the generator's own training put it into photographs."""

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
"""Differences of this size are halved, and smaller ones vanish: two images in whole grey levels differ so much by
rounding alone, where training saw them unrounded."""

LEAST = 1 / 512
"""Weaker changes move no pixel by a grey level."""


def mask_of(config: GeneratorConfig, edits: Sequence[Edit]) -> Tensor | None:
    """Where in a face the edits may change anything, ``(S, S)``, 0 to 1; None: anywhere."""
    reach = attribute_mask(edits, config.image_size)
    if config.compositing == "thresholded" or reach is None:
        return reach
    return compositing.edit_mask(config.image_size)


LARGER = 1.5
"""From so many times the generator's size on, a face gets its change with steep edges; training saw smaller ones."""


def change_of(
    config: GeneratorConfig, edits: Sequence[Edit], edited: Pixels, unedited: Pixels, side: float
) -> Tensor:
    """How far each pixel of a face is drawn towards black or white.

    Args:
        config: of the generator; its ``compositing`` decides how.
        edits: what was asked for. Other attributes than glasses may show anywhere, and are always thresholded.
        edited: ``(S, S, 3)`` uint8, the generator's output with the edits.
        unedited: likewise, without them.
        side: of the face's square in the photograph, in its pixels.

    Returns:
        ``(3, S, S)`` float32, -1 (black) to 1 (white); of a face that is larger in the photograph than the generator
        draws it ``(3, f·S, f·S)``, up to four times the size, with steep edges.
    """
    reach = attribute_mask(edits, len(edited))
    if config.compositing == "thresholded" or reach is None:
        return thresholded.relative_change(edited, unedited, reach)
    before = _planes(unedited)
    difference = _planes(edited) - before
    square = difference * difference
    after = before + difference * (square / (square + ROUNDING * ROUNDING))
    mask = compositing.edit_mask(len(edited))
    change = compositing.relative_change(after, before, mask)
    if side > LARGER * len(edited):
        factor = min(MOST, math.ceil(side / len(edited)))
        change = _enlarged_within(change, mask, factor)
    # What would move no pixel by a grey level is left out, so that those pixels stay as they are.
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
