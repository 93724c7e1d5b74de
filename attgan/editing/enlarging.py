"""A change brought to a larger size with edges as sharp as a photograph's.

A generator that is trained on pixel distances draws an edge the softer, the less it is sure where the edge lies, and
interpolation makes it softer still. Beside a sharp face a frame then looks drawn with a felt pen. Here each value
is moved towards the larger or the smaller of its neighbourhood's extremes, whichever is nearer. An edge becomes steep
where it was, nothing overshoots, and what is even stays even.

Source: the idea is that of shock filters (Osher and Rudin, 1990) and of local contrast stretching.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MOST = 4
"""Times that a change is enlarged, at most: interpolation does the rest."""

# The neighbourhood's side, in pixels of the generator, and how steep an edge in it becomes.
_NEIGHBOURHOOD = 5
_STEEPNESS = 2.0


def enlarged(change: Tensor, factor: int) -> Tensor:
    """A change ``(3, S, S)``, -1 to 1, at ``factor`` times the size, ``(3, f·S, f·S)``, with steep edges."""
    # The extremes are smoothed, since the squares that they are taken from would show.
    extremes = torch.stack([change, _smooth(-_largest(-change)), _smooth(_largest(change))])
    larger, low, high = F.interpolate(extremes, scale_factor=factor, mode="bilinear", align_corners=False)
    room = (high - low).clamp_(min=1e-4)
    between = larger.sub_(low).div_(room).sub_(0.5).mul_(_STEEPNESS).add_(0.5).clamp_(0, 1)
    return between.mul(between).mul_(3 - 2 * between).mul_(room).add_(low)


def _largest(planes: Tensor) -> Tensor:
    return F.max_pool2d(planes, _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2)


def _smooth(planes: Tensor) -> Tensor:
    return F.avg_pool2d(planes, 3, 1, 1, count_include_pad=False)
