"""Edits of photographs without colour: what is put into them has none either."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAMPLES = (
    128  # along each side at most: as many pixels tell as well as all, and cost the same in every photograph
)
COLOURLESS = 8  # levels between a pixel's channels that storing a grey photograph as a colour JPEG may leave
COLOURED_SHARE = (
    0.01  # of the pixels may have colour nevertheless: a stamp or a mark. Colour portraits have 0.7
)
LUMA = (0.299, 0.587, 0.114)  # Rec. 601, as grey images are stored


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether a photograph has no colour, however it is stored.

    Args:
        pixels: ``(H, W, 3)`` uint8, RGB.
    """
    down, across = (-(-side // SAMPLES) for side in pixels.shape[:2])
    # A plane at a time, each in one piece: a third of the time.
    red, green, blue = np.ascontiguousarray(pixels[::down, ::across].transpose(2, 0, 1))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return float((spread > COLOURLESS).mean()) <= COLOURED_SHARE


def greyed(planes: Tensor) -> Tensor:
    """Three planes ``(3, …)`` float32, red, green and blue, as their luma, thrice; 0 stays 0."""
    red, green, blue = LUMA
    return (red * planes[0] + green * planes[1] + blue * planes[2]).expand(3, *planes.shape[1:])


def greyed_face(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face ``(S, S, 3)`` uint8 without its colour."""
    luma = greyed(torch.from_numpy(face).permute(2, 0, 1).float())
    grey: NDArray[np.uint8] = luma.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return grey
