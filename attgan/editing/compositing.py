"""Compositing: puts the change that an edit makes onto the photograph. Training and editing use the same functions.

The generator's output is a blurry copy of the whole face. A user receives the photograph with only the *difference*
between the edited and the unedited output, inside the edit mask and nowhere else. The losses of training look at that
composite, so the generator's blur costs it nothing.

The difference is applied as a share of each pixel's distance to black or white. So a dark frame that crosses an eyebrow
hides the hairs, as a real frame does. A plain sum would leave them as bright lines on the frame.

Values here are 0 to 1.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from attgan.editing.masks import MaskBox, faded_box

DARK = 4 / 255
"""Added to the divisor, so that noise near black or white is not amplified."""

# The eyes are at 0.385 and 0.615 across and 0.516 down, wherever the face was in the photograph
# (attgan.editing.placement). The box is large enough for the largest glasses and for the temples of turned heads.
_GLASSES = MaskBox(0.06, 0.365, 0.94, 0.735)


@functools.lru_cache(maxsize=4)
def edit_mask(size: int) -> Tensor:
    """Where glasses may be in a face square: ``(S, S)`` float32, 0 to 1. It is cached: do not write to it."""
    return faded_box(_GLASSES, size)


def relative_change(edited: Tensor, unedited: Tensor, mask: Tensor) -> Tensor:
    """How far an edit moves each pixel towards black or white.

    Args:
        edited: ``(…, 3, S, S)`` float, 0 to 1: the generator's output with the edit.
        unedited: likewise, without it.
        mask: ``(S, S)``, 0 to 1.

    Returns:
        ``(…, 3, S, S)``, -1 (black) to 1 (white), and 0 where the mask is.
    """
    difference = edited - unedited
    # The headroom is never less than the difference, so the share stays within ±1.
    return difference / (_headroom(unedited, difference) + DARK) * mask


def apply_change(face: Tensor, change: Tensor) -> Tensor:
    """Move pixels (0 to 1, any shape) towards black or white by the shares in ``change`` (-1 to 1, same shape)."""
    return face + change * _headroom(face, change)


def composite(face: Tensor, edited: Tensor, unedited: Tensor, mask: Tensor) -> Tensor:
    """The image that a user receives: the face with the edit's change.

    Differentiable in ``edited`` and ``unedited``.

    Args:
        face: ``(N, 3, S, S)`` float, 0 to 1, the photograph's own pixels.
        edited, unedited: likewise, the generator's outputs.
        mask: ``(S, S)``, 0 to 1.

    Returns:
        ``(N, 3, S, S)``, 0 to 1; equal to ``face`` to the bit where the mask is 0.
    """
    return apply_change(face, relative_change(edited, unedited, mask))


def _headroom(pixels: Tensor, change: Tensor) -> Tensor:
    """How far pixels are from black where a change is negative, and from white elsewhere."""
    return torch.where(change < 0, pixels, 1 - pixels)
