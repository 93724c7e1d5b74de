"""Square crops of a photograph at any place, size and rotation, many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from attgan.detection.similarity import Matrix, apply, scale_of

# A photograph is not halved below this side.
SMALLEST = 16


@dataclass(frozen=True)
class Photograph:
    """A photograph at several sizes, each with half the sides of the one before.

    Attributes:
        levels: ``(1, 3, h, w)``, 0 to 255, channels last: uint8 on a CPU, float32 on a GPU, which cannot resize uint8.
    """

    levels: list[Tensor]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first level."""
        height, width = self.levels[0].shape[2:]
        return height, width


def open_photograph(pixels: NDArray[np.uint8], longest_side: int, device: torch.device) -> Photograph:
    """Copy ``(H, W, 3)`` uint8 to a device, reduced to at most ``longest_side`` a side, and halve it repeatedly."""
    image = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].permute(0, 3, 1, 2)
    height, width = pixels.shape[:2]
    shrink = longest_side / max(height, width)
    if shrink < 1:
        image = resized(image, max(1, round(height * shrink)), max(1, round(width * shrink)))
    image = image.to(device)
    levels = [image if device.type == "cpu" else image.float()]
    while min(levels[-1].shape[2:]) >= 2 * SMALLEST:
        height, width = levels[-1].shape[2:]
        levels.append(resized(levels[-1], (height + 1) // 2, (width + 1) // 2))
    return Photograph(levels)


def resized(image: Tensor, height: int, width: int) -> Tensor:
    """An image ``(1, 3, h, w)`` at another size, antialiased, in its own type."""
    return F.interpolate(image, size=(height, width), mode="bilinear", antialias=True)


def normalised(image: Tensor) -> Tensor:
    """Values from 0 to 255 as the networks' input: float32 in [-1, 1]."""
    return image.to(torch.float32, copy=True).sub_(127.5).div_(128)


def take_crops(photograph: Photograph, matrices: Matrix, size: int) -> Tensor:
    """Crops by bilinear interpolation, each from the level that has one to two pixels for one of the crop's.

    Beyond the photograph its outermost pixels are repeated.

    Args:
        photograph: the source of all crops.
        matrices: ``(N, 2, 3)`` similarities from the crop's pixels to the photograph's.
        size: S, side of the crops.

    Returns:
        ``(N, 3, S, S)`` float32 in [-1, 1].
    """
    levels = photograph.levels
    count = len(matrices)
    # The number of times that the level was halved.
    steps = np.floor(np.log2(np.maximum(scale_of(matrices), 1e-6)))
    chosen = np.clip(steps, 0, len(levels) - 1).astype(int)
    crops = torch.empty((count, 3, size, size), device=levels[0].device)
    for number in np.unique(chosen):
        rows, level = np.flatnonzero(chosen == number), levels[number]
        height, width = level.shape[2:]
        # From pixels of the crops to pixels of the level.
        moved = matrices[rows] * np.array([[width], [height]]) / np.array(photograph.size[::-1])[:, None]
        left, top, right, bottom = _region(moved, size, width, height)
        # Only the part that the crops show is converted: it is often a small one.
        region = level[:, :, top:bottom, left:right].float()
        # (n, 2, 3), between coordinates that are -1 to 1 from edge to edge, of crops and region.
        scaled = moved * (2 / np.array([[right - left], [bottom - top]]))
        theta = np.empty_like(scaled)
        theta[:, :, :2] = scaled[:, :, :2] * (size / 2)
        theta[:, :, 2] = theta[:, :, :2].sum(2) + scaled[:, :, 2]
        theta[:, :, 2] -= np.array([2 * left / (right - left), 2 * top / (bottom - top)]) + 1
        grid = F.affine_grid(torch.from_numpy(theta.astype(np.float32)), [len(rows), 3, size, size], False)
        taken = F.grid_sample(
            region,
            grid.reshape(1, -1, size, 2).to(crops.device),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        # (1, 3, n·S, S) to (n, 3, S, S).
        taken = taken.reshape(3, len(rows), size, size).transpose(0, 1)
        crops[torch.from_numpy(rows).to(crops.device)] = taken
    return crops.sub_(127.5).div_(128)


def _region(matrices: Matrix, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of a level that crops of side ``size`` show; at least one pixel."""
    corners = apply(matrices, np.array([[0, 0], [size, 0], [0, size], [size, size]]))
    first, last = corners.min((0, 1)) - 1, corners.max((0, 1)) + 1
    left, top = np.clip(np.floor(first), 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(last), (left + 1, top + 1), (width, height)).astype(int).tolist()
    return left, top, right, bottom
