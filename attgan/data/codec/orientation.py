"""Orientations as in EXIF, 1 to 8: which edges of the stored picture are the top and the left of the seen one."""

from __future__ import annotations

import numpy as np
from PIL import Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def back(orientation: int) -> int:
    """The orientation that undoes one: a quarter turn to the other side; all others undo themselves."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The stored picture as it is seen."""
    return picture if orientation == 1 else picture.transpose(_TURNS[orientation])


def turned(samples: np.ndarray, orientation: int) -> np.ndarray:
    """As :func:`upright`, for ``(H, W)`` or ``(H, W, C)`` of any type."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    # After the rows have become columns.
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(
        orientation, (1, 1)
    )
    return np.ascontiguousarray(samples[::down, ::right])
