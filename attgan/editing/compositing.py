"""How the change that an edit makes goes onto the photograph: one differentiable function for training and editing.

The generator redraws the whole face, softly. What a user receives is the photograph with the *difference* between the
edited and the unedited output drawn onto it, inside the edit mask and nowhere else. Training looks at that composite,
so the generator's own blur costs it nothing.

The difference is applied as a share of the way to black or white. A dark frame that crosses an eyebrow then hides the
hairs, as a real one does; a plain sum would leave them as bright lines on the frame.

Values here are 0 to 1.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from attgan.editing.attribute_mask import MaskBox, faded_box

DARK = 4 / 255
"""Added to what is divided by, so that noise near black or white is not multiplied."""

# The eyes are at 0.385 and 0.615 across and 0.516 down, wherever the face was in the photograph
# (attgan.editing.placement): room for the largest glasses and for the temples of turned heads.
_GLASSES = MaskBox(0.06, 0.365, 0.94, 0.735)


@functools.lru_cache(maxsize=4)
def edit_mask(size: int) -> Tensor:
    """Where glasses may be in a face square: ``(S, S)`` float32, 0 to 1, a third of the square. Not to be changed."""
    return faded_box(_GLASSES, size)


def relative_change(edited: Tensor, unedited: Tensor, mask: Tensor) -> Tensor:
    """How far an edit draws each pixel towards black or white.

    Args:
        edited: ``(…, 3, S, S)`` float, 0 to 1: the generator's output with the edit.
        unedited: likewise, without it.
        mask: ``(S, S)``, 0 to 1.

    Returns:
        ``(…, 3, S, S)``, -1 (black) to 1 (white), and 0 where the mask is.
    """
    difference = edited - unedited
    # The room is never less than the difference, so that the share stays within ±1.
    return difference / (_room(unedited, difference) + DARK) * mask


def apply_change(face: Tensor, change: Tensor) -> Tensor:
    """Draw pixels (0 to 1, any shape) towards black or white by the shares in ``change`` (-1 to 1, same shape)."""
    return face + change * _room(face, change)


def composite(face: Tensor, edited: Tensor, unedited: Tensor, mask: Tensor) -> Tensor:
    """What a user receives: the face with the change that the edit makes.

    Differentiable in ``edited`` and ``unedited``.

    Args:
        face: ``(N, 3, S, S)`` float, 0 to 1, the photograph's own pixels.
        edited, unedited: likewise, the generator's outputs.
        mask: ``(S, S)``, 0 to 1.

    Returns:
        ``(N, 3, S, S)``, 0 to 1; equal to ``face`` to the bit where the mask is 0.
    """
    return apply_change(face, relative_change(edited, unedited, mask))


def _room(pixels: Tensor, change: Tensor) -> Tensor:
    """How far pixels are from black where a change is negative, and from white elsewhere."""
    return torch.where(change < 0, pixels, 1 - pixels)
