"""The change of an edit for generators that were trained on their whole output: only its strongest parts are kept.

Such a generator's output differs from the face everywhere, with the edit and without it. Most of the small differences
between the two outputs are random. Kept are those that are strong, compared with the strongest of the same face, and
the weaker ones connected to them.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from attgan.editing.masks import faded_square, smoothstep

# These numbers were chosen on 223 faces of photographs, to which the default model adds glasses: by an independent
# evaluator, by how much stays unchanged elsewhere, and by eye.

# Shares of the face's strongest change: weaker changes than the first are left out, stronger ones than the second are
# kept in full.
WEAKEST, FULL = 0.35, 0.5
# Likewise: a region is kept only if it contains a change as strong as this.
CERTAIN = 0.6
# Changes of fewer levels, of 255, are left out even if the face has no stronger one.
MIN_LEVELS = 6.0
# The quantile of the changes that counts as the strongest.
STRONGEST = 0.99
# Standard deviation of the Gaussian under which strength is measured, as a share of the face's side.
BLUR = 1 / 64
# Pixels along both sides of the cells that connect regions: a gap of one pixel does not part a frame.
CELL = 4
# Levels, of 255, added to the divisor, so that noise in the dark is not amplified.
DARK = 2.0


def thresholded_change(edited: NDArray, unedited: NDArray, mask: Tensor | None = None) -> Tensor:
    """How far an edit moved each pixel towards black or white, where it moved it much.

    As a share of the distance to black or white, the change can be applied to the photograph's own pixels: what
    is seen through a dark lens becomes darker. A plain difference would leave its bright spots too bright.

    Args:
        edited: ``(S, S, 3)`` uint8, the generator's output with the edit.
        unedited: likewise, without the edit.
        mask: ``(S, S)``, 0 to 1, see :func:`attgan.editing.masks.attribute_mask`; None: the whole face may change.

    Returns:
        ``(3, S, S)`` float32, -1 (black) to 1 (white), and exactly 0 where nothing is to change, as at the edges.
    """
    before = _planes(unedited)
    difference = _planes(edited) - before
    inside = faded_square(len(edited))
    if mask is not None:
        inside = inside * mask
    # The headroom is never less than the difference, so the share stays within ±1.
    return difference / (headroom(before, difference) + DARK) * _strong_parts(difference, inside)


def headroom(pixels: Tensor, change: Tensor) -> Tensor:
    """How far pixels, 0 to 255, are from black where a change is negative, and from white elsewhere."""
    # Quicker than torch.where, with the same values.
    return (pixels - 255.0 * (change >= 0)).abs()


def _strong_parts(difference: Tensor, inside: Tensor) -> Tensor:
    """How much of a difference ``(3, S, S)`` is kept, ``(S, S)``, 0 to 1; at most ``inside``."""
    strength = _blurred(difference.abs().mean(0), len(inside) * BLUR) * inside
    strongest = _quantile(strength, STRONGEST)
    weakest, full = max(MIN_LEVELS, WEAKEST * strongest), max(2 * MIN_LEVELS, FULL * strongest)
    share = smoothstep((strength - weakest) / (full - weakest))
    certain = strength > max(2 * MIN_LEVELS, CERTAIN * strongest)
    return share * inside * _connected(certain, share > 0)


def _connected(seeds: Tensor, places: Tensor) -> Tensor:
    """The places ``(S, S)`` bool that are connected to a seed by cells of a grid that touch, at sides or corners."""
    # (S / CELL, S / CELL)
    passable = _in_cells(places.numpy())
    connected = _in_cells((seeds & places).numpy())
    count = -1
    while (now := int(np.count_nonzero(connected))) != count:
        count = now
        grown = connected.copy()
        grown[1:] |= connected[:-1]
        grown[:-1] |= connected[1:]
        connected = grown.copy()
        connected[:, 1:] |= grown[:, :-1]
        connected[:, :-1] |= grown[:, 1:]
        connected &= passable
    return torch.from_numpy(connected.repeat(CELL, 0).repeat(CELL, 1)) & places


def _in_cells(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which cells of the grid contain one of the places."""
    side = len(places) // CELL
    return np.asarray(places.reshape(side, CELL, side, CELL).any(axis=(1, 3)))


def _quantile(values: Tensor, share: float) -> float:
    """``torch.quantile`` to the bit, without sorting all values: in a third of the time."""
    flat = values.numpy().ravel()
    rank = float(np.float32(share)) * (flat.size - 1)
    below = int(rank)
    two = torch.from_numpy(np.partition(flat, (below, below + 1))[below : below + 2])
    return float(torch.lerp(two[0], two[1], rank - below))


def _blurred(plane: Tensor, sigma: float) -> Tensor:
    """A plane ``(h, w)`` under a Gaussian; its outermost pixels are repeated beyond its edges."""
    kernel = _gaussian(sigma)
    radius = kernel.shape[-1] // 2
    padded = F.pad(plane[None, None], (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT)[0, 0]


@functools.lru_cache(maxsize=4)
def _gaussian(sigma: float) -> Tensor:
    """``(1, 1, 1, n)``, of sum 1."""
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    return (kernel / kernel.sum())[None, None, None]


def _planes(face: NDArray) -> Tensor:
    return torch.from_numpy(face.astype("float32")).permute(2, 0, 1)
