"""The change that an edit makes to a face, computed as in the generator's own training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from attgan.attributes import Edit
from attgan.data.transforms import Pixels
from attgan.editing import compositing
from attgan.editing.masks import are_local, attribute_mask
from attgan.editing.thresholded import thresholded_change
from attgan.models import GeneratorConfig

ROUNDING = 2 / 255
"""Differences of this size are halved, and smaller ones vanish. Two images in whole grey levels differ by so much
through rounding alone; in training they were not rounded."""

MIN_CHANGE = 1 / 512
"""Weaker changes alter no pixel by a grey level."""

SHARPENED_FROM = 1.5
"""In a face square more than so many times as large as the generator's output, the change gets sharp edges."""

MAX_FACTOR = 4
"""The change is enlarged by at most this factor. Interpolation does the rest."""

# The neighbourhood whose extremes decide, in pixels of the generator, and how much steeper an edge in it becomes.
_NEIGHBOURHOOD = 5
_STEEPNESS = 2.0


def mask_of(config: GeneratorConfig, edits: Sequence[Edit]) -> Tensor | None:
    """The edit mask ``(S, S)``, 0 to 1: where in a face the edits may change pixels. None: everywhere."""
    if _is_thresholded(config, edits):
        return attribute_mask(edits, config.image_size)
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
        ``(3, S, S)`` float32, -1 (black) to 1 (white). If the face is larger in the photograph than in the generator's
        output: ``(3, f·S, f·S)`` with sharp edges, where f is at most 4.
    """
    if _is_thresholded(config, edits):
        return thresholded_change(edited, unedited, attribute_mask(edits, len(edited)))
    before = _planes(unedited)
    difference = _planes(edited) - before
    square = difference * difference
    after = before + difference * (square / (square + ROUNDING * ROUNDING))
    mask = compositing.edit_mask(len(edited))
    change = compositing.relative_change(after, before, mask)
    if side > SHARPENED_FROM * len(edited):
        factor = min(MAX_FACTOR, math.ceil(side / len(edited)))
        change = _enlarged_within(change, mask, factor)
    # Changes below a grey level are dropped, so that those pixels stay equal to the bit.
    return torch.where(change.abs() < MIN_CHANGE, 0.0, change)


def _is_thresholded(config: GeneratorConfig, edits: Sequence[Edit]) -> bool:
    return config.compositing == "thresholded" or not are_local(edits)


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


def enlarged(change: Tensor, factor: int) -> Tensor:
    """A change ``(3, S, S)``, -1 to 1, at ``factor`` times the size, ``(3, f·S, f·S)``, with sharp edges.

    A generator that is trained on pixel distances draws an edge softer the less it is sure where the edge lies, and
    interpolation makes it softer still. Beside a sharp face such a frame looks drawn with a felt pen. So each value is
    moved towards the nearer of the two extremes of its neighbourhood: edges become sharp where they are, nothing
    overshoots, and even areas stay even.

    Source: the idea of shock filters (Osher and Rudin, 1990) and of local contrast stretching.
    """
    # The extremes are smoothed, because the square neighbourhoods would be visible otherwise.
    extremes = torch.stack([change, _smooth(-_largest(-change)), _smooth(_largest(change))])
    larger, low, high = F.interpolate(extremes, scale_factor=factor, mode="bilinear", align_corners=False)
    height = (high - low).clamp_(min=1e-4)
    position = larger.sub_(low).div_(height).sub_(0.5).mul_(_STEEPNESS).add_(0.5).clamp_(0, 1)
    # A smoothstep, in place: these tensors are large.
    return position.mul(position).mul_(3 - 2 * position).mul_(height).add_(low)


def _largest(planes: Tensor) -> Tensor:
    return F.max_pool2d(planes, _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2)


def _smooth(planes: Tensor) -> Tensor:
    return F.avg_pool2d(planes, 3, 1, 1, count_include_pad=False)


def _planes(face: Pixels) -> Tensor:
    return torch.from_numpy(face).permute(2, 0, 1).float() / 255
