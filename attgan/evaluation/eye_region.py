"""The eyes of an aligned face: where they are, how sharp they are, and which pixels an edit may touch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from attgan.detection.similarity import Matrix, apply, invert

Pixels = NDArray[np.uint8]

EYES = (22.6 / 128, 52.7 / 128, 105.4 / 128, 85.8 / 128)
"""Left, top, right and bottom of the eye region in shares of the face square's side: brows to the tip of the nose."""

SHARPNESS_SIZE = 256
"""Side of the face squares whose sharpness is measured, in pixels."""

# Grey levels: a pixel that differs by more in a channel counts as changed.
CHANGED = 4
# Pixels of the network's face by which a change spreads when it is resized into the photograph.
_SPREAD = 3
_LUMA = np.array([0.299, 0.587, 0.114])


def eye_region(face: Pixels, width: int, height: int) -> Pixels:
    """The eye region, resized bilinearly.

    Args:
        face: ``(S, S, 3)`` uint8.
        width, height: of the result, in pixels.

    Returns:
        ``(height, width, 3)`` uint8.
    """
    left, top, right, bottom = (edge * len(face) for edge in EYES)
    resized = Image.fromarray(face).resize(
        (width, height), Image.Resampling.BILINEAR, (left, top, right, bottom)
    )
    return np.asarray(resized)


def sharpness(face: Pixels) -> float:
    """Mean absolute Laplacian of the eye region, in grey levels.

    Args:
        face: ``(S, S, 3)`` uint8; what is to be compared must have the same S, usually :data:`SHARPNESS_SIZE`.
    """
    left, top, right, bottom = (round(edge * len(face)) for edge in EYES)
    grey = face[top:bottom, left:right] @ _LUMA
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(4 * grey[1:-1, 1:-1] - neighbours).mean())


def mask_in_photograph(matrix: Matrix, height: int, width: int, mask: NDArray[np.floating]) -> NDArray:
    """Which pixels of a photograph an edit mask covers, widened by what interpolation spreads.

    Args:
        matrix: ``(2, 3)``, from the face square of side 1 to the photograph's pixels.
        height, width: of the photograph.
        mask: ``(S, S)``, above 0 where the edit may change the face.

    Returns:
        ``(height, width)`` bool.
    """
    size = len(mask)
    padded = F.pad(torch.from_numpy(np.asarray(mask > 0, np.float32))[None, None], (_SPREAD,) * 4)
    covered = F.max_pool2d(padded, 2 * _SPREAD + 1, stride=1)[0, 0].numpy() > 0
    y, x = np.mgrid[:height, :width] + 0.5
    there = np.floor(apply(invert(matrix), np.stack([x.ravel(), y.ravel()], 1)) * size).astype(np.int64)
    known = ((there >= 0) & (there < size)).all(1)
    inside = np.zeros(height * width, dtype=bool)
    inside[known] = covered[there[known, 1], there[known, 0]]
    return inside.reshape(height, width)


def changes(
    before: Pixels, after: Pixels, inside: NDArray, allowed: NDArray | None = None
) -> tuple[float, int]:
    """What an edit has changed inside its mask, and outside.

    Args:
        before: ``(H, W, 3)`` uint8.
        after: likewise.
        inside: ``(H, W)`` bool, the face's mask.
        allowed: likewise, the masks of all faces that were edited; by default ``inside``.

    Returns:
        The share of the pixels inside that differ by more than four levels in a channel, and the largest difference of
        a pixel outside of all masks, in levels from 0 to 255.
    """
    largest = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    share = float((largest[inside] > CHANGED).mean()) if inside.any() else 0.0
    return share, int(largest[~(inside if allowed is None else allowed)].max(initial=0))
