"""The face in an aligned image: its square, cropped and resized; and the conversion between uint8 and [-1, 1].

CelebA's aligned images have 178×218 pixels. The network sees their centred 170×170 square, resized to its own size.
Images are resized with torch's antialiased uint8 kernel, at three times Pillow's rate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

Pixels = NDArray[np.uint8]

CELEBA_SIZE = (178, 218)
CELEBA_CROP = 170


class Box(NamedTuple):
    """A square in an image, in pixels: ``image[top:top + side, left:left + side]``."""

    left: int
    top: int
    side: int


def face_box(width: int, height: int) -> Box | None:
    """The square that holds the face of an aligned image, or None if its proportions show that it is not aligned.

    A square image is a face already; one of CelebA's proportions (178×218, or the same at another scale) has its
    face in the centred square of 170/178 of the width.
    """
    if width == height:
        return Box(0, 0, width)
    aligned_width, aligned_height = CELEBA_SIZE
    if width * aligned_height == height * aligned_width:
        side = round(width * CELEBA_CROP / aligned_width)
        return Box((width - side) // 2, (height - side) // 2, side)
    return None


def take_face(pixels: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Crop ``box`` out of ``(H, W, 3)`` uint8 and resize it to ``(size, size, 3)`` uint8 (antialiased bilinear)."""
    return resize(pixels[box.top : box.top + box.side, box.left : box.left + box.side], size, "bilinear")


def resize(pixels: np.ndarray, size: int, mode: str) -> np.ndarray:
    """Resize a square ``(S, S, 3)`` uint8 to ``(size, size, 3)`` uint8, antialiased when it shrinks."""
    if pixels.shape[:2] == (size, size):
        return pixels
    # (1, 3, S, S), channels last by the strides of all four dimensions. Otherwise torch converts input and output, and
    # that takes two thirds of the time. The result is the same to the bit.
    batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].permute(0, 3, 1, 2)
    resized = interpolate(batch, size=(size, size), mode=mode, antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def to_float(images: Tensor) -> Tensor:
    """uint8 → float32 in [-1, 1], of any shape, in the same memory layout."""
    return images.to(torch.float32).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] → uint8, of any shape: the inverse of :func:`to_float`. Values beyond the range are clamped."""
    return ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
