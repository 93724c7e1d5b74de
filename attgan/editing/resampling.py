"""Images resampled under similarity transforms: antialiased where they shrink, cubic, one window at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attgan.detection.similarity import Matrix, apply, scale_of


class Window(NamedTuple):
    """Whole pixels of an image: ``image[top:bottom, left:right]``."""

    left: int
    top: int
    right: int
    bottom: int


def covering_window(matrix: Matrix, part: Window, width: int, height: int, margin: float = 1.0) -> Window:
    """The smallest window of an image that contains a transformed rectangle; at least one pixel.

    Args:
        matrix: ``(2, 3)``, from the rectangle's pixels to the image's.
        part: the rectangle.
        width: of the image.
        height: of the image.
        margin: pixels of the image beyond the rectangle.
    """
    left, top, right, bottom = part
    corners = apply(matrix, [[left, top], [right, top], [left, bottom], [right, bottom]])
    least, most = np.floor(corners.min(0) - margin), np.ceil(corners.max(0) + margin)
    left, top = int(np.clip(least[0], 0, width - 1)), int(np.clip(least[1], 0, height - 1))
    right, bottom = int(np.clip(most[0], left + 1, width)), int(np.clip(most[1], top + 1, height))
    return Window(left, top, right, bottom)


def with_origin(matrix: Matrix, left: float, top: float) -> Matrix:
    """The same transform into a part of the image that begins at ``(left, top)``."""
    return matrix - [[0, 0, left], [0, 0, top]]


def reduced(image: Tensor, matrix: Matrix, density: float = 1.0) -> tuple[Tensor, Matrix]:
    """An image reduced until it has at most ``density`` pixels for one pixel of the result, along a line.

    Args:
        image: ``(1, C, h, w)``, uint8 or float32.
        matrix: ``(2, 3)``, from the result's pixels to the image's.
        density: how many pixels are kept.

    Returns:
        The image, and the matrix to it.
    """
    factor = density / float(scale_of(matrix))
    if factor >= 1:
        return image, matrix
    height, width = image.shape[2:]
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    smaller = F.interpolate(image, size=size, mode="bilinear", antialias=True)
    return smaller, matrix * [[size[1] / width], [size[0] / height]]


def resample(image: Tensor, matrix: Matrix, window: Window) -> Tensor:
    """A window of the result, by cubic interpolation; beyond its edges the image's outermost pixels are repeated.

    Args:
        image: ``(1, C, h, w)`` float32.
        matrix: ``(2, 3)``, from the result's pixels to the image's.
        window: of the result.

    Returns:
        ``(C, bottom - top, right - left)`` float32.
    """
    height, width = image.shape[2:]
    x = np.arange(window.left, window.right) + 0.5
    y = np.arange(window.top, window.bottom)[:, None] + 0.5
    # grid_sample counts from -1 to 1, from edge to edge.
    grid = np.empty((1, y.size, x.size, 2), np.float32)
    for axis, side in enumerate((width, height)):
        across, down, shift = matrix[axis] * (2 / side)
        grid[0, ..., axis] = across * x + down * y + (shift - 1)
    result: Tensor = F.grid_sample(
        image, torch.from_numpy(grid), mode="bicubic", padding_mode="border", align_corners=False
    )[0]
    return result
