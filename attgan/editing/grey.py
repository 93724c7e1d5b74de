"""Photographs without colour: an edit must not add any."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Pixels sampled along each side, at most. They decide as well as all pixels do, and cost the same in every photograph.
SAMPLES = 128
# Largest difference between a pixel's channels, in levels, that a grey photograph stored as a colour JPEG may show.
COLOURLESS = 8
# Largest share of coloured pixels in a grey photograph, such as a stamp or a mark. Colour portraits have 0.7.
COLOURED_SHARE = 0.01
# Rec. 601, as grey images are stored.
LUMA = (0.299, 0.587, 0.114)


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether a photograph has no colour, however it is stored.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
    """
    down, across = (-(-side // SAMPLES) for side in pixels.shape[:2])
    # Each colour plane is made contiguous first: that takes a third of the time.
    red, green, blue = np.ascontiguousarray(pixels[::down, ::across].transpose(2, 0, 1))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return float((spread > COLOURLESS).mean()) <= COLOURED_SHARE


def greyed(planes: Tensor) -> Tensor:
    """Red, green and blue planes ``(3, …)`` float32, each replaced by their luma; 0 stays 0."""
    red, green, blue = LUMA
    return (red * planes[0] + green * planes[1] + blue * planes[2]).expand(3, *planes.shape[1:])


def greyed_face(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face ``(S, S, 3)`` uint8 without colour."""
    luma = greyed(torch.from_numpy(face).permute(2, 0, 1).float())
    grey: NDArray[np.uint8] = luma.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return grey
