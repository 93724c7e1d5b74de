"""Square crops of a photograph at any place, size and turn, many at a time."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attgan.editing.similarity import Matrix, scale_of

SMALLEST = 16  # a photograph is not halved below this side


def halvings(image: Tensor) -> list[Tensor]:
    """An image ``(3, H, W)`` float32 and its halves, quarters …: a pixel of each is the mean of four before it."""
    levels = [image]
    while min(levels[-1].shape[1:]) >= 2 * SMALLEST:
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True))
    return levels


def take_crops(levels: list[Tensor], matrices: Matrix, size: int) -> Tensor:
    """Crops, bilinear, each from the level that has from one to two pixels for one of the crop's.

    Beyond the image its edge goes on.

    Args:
        levels: of :func:`halvings`.
        matrices: ``(N, 2, 3)`` similarities from the crop's pixels to the image's.
        size: S, side of the crops.

    Returns:
        ``(N, 3, S, S)`` float32.
    """
    count = len(matrices)
    steps = np.floor(np.log2(np.maximum(scale_of(matrices), 1e-6)))
    chosen = np.clip(steps, 0, len(levels) - 1).astype(int)
    centres = np.arange(size) + 0.5
    x = matrices[:, :, 0, None, None] * centres[None, None, None, :]
    y = matrices[:, :, 1, None, None] * centres[None, None, :, None]
    places = (x + y + matrices[:, :, 2, None, None]).transpose(0, 2, 3, 1)  # (N, S, S, 2)
    crops = levels[0].new_empty((count, 3, size, size))
    for level in np.unique(chosen):
        rows = np.flatnonzero(chosen == level)
        height, width = levels[level].shape[1:]
        grid = places[rows] / 2.0**level / (width, height) * 2 - 1  # (n, S, S, 2), -1 to 1 from edge to edge
        taken = F.grid_sample(
            levels[level][None],
            torch.from_numpy(grid.reshape(1, -1, size, 2).astype(np.float32)).to(crops.device),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        crops[torch.from_numpy(rows).to(crops.device)] = taken.reshape(3, len(rows), size, size).transpose(
            0, 1
        )
    return crops
