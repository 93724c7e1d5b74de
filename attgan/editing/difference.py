"""What an edit changed in a face, apart from what the generator changes in every face."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from attgan.editing.fading import smoothstep, window

# All chosen on 223 faces of photographs, to which the default model adds glasses, by an independent judge of glasses,
# by how much stays as it was elsewhere, and by eye.
LEAST, FULL = 0.35, 0.5  # of the strongest: weaker changes are left out, stronger ones count in full
SURE = 0.6  # of the strongest: what does not hang together with a change as strong as this is left out
FAINT = 6.0  # of 255: no edit is weaker
STRONGEST = 0.99  # the quantile that stands for it
BLUR = 1 / 64  # of the side: the standard deviation of the Gaussian under which strength is measured
CELL = 4  # pixels, along both sides, of what hangs together: a pixel's gap does not part a frame
DARK = 2.0  # of 255: added to what is divided by, so that noise in the dark is not multiplied


def relative_change(edited: NDArray, reconstructed: NDArray, mask: Tensor | None = None) -> Tensor:
    """How far an edit drew each pixel towards black or white, where it drew it much.

    The generator's reconstruction of a face differs from the face everywhere, and so does its edit; what these two
    differ in is the edit. Told as a share of the way to black or white it carries over to the photograph's own pixels:
    what shines through a dark lens is darkened, where a difference would leave it as bright as it was against the rest.

    Most of the small differences between the two are chance. Kept are those that are strong, measured by the strongest
    of the face, together with what surrounds these.

    Args:
        edited: ``(S, S, 3)`` uint8, what the generator made of the face.
        reconstructed: likewise, without the edit.
        mask: ``(S, S)``, 0 to 1, how much may stay where (:func:`attgan.editing.attribute_mask`); everywhere all.

    Returns:
        ``(3, S, S)`` float32, -1 (black) to 1 (white), and exactly 0 where nothing is to change, as at the edges.
    """
    result, start = _planes(edited), _planes(reconstructed)
    difference = result - start
    room = _room(start, difference)  # at least as much as the difference
    inside = window(len(edited))
    return difference / (room + DARK) * _mask(difference, inside if mask is None else inside * mask)


def apply_change(pixels: Tensor, change: Tensor) -> Tensor:
    """Draw pixels towards black or white, all of one shape: 0 to 255, and as they were where the change is 0.

    Args:
        pixels: uint8 or float32, 0 to 255.
        change: float32, -1 to 1.
    """
    return pixels + change * _room(pixels, change)


def _room(pixels: Tensor, change: Tensor) -> Tensor:
    """How far pixels are from black where a change is negative, from white elsewhere; quicker than a choice."""
    return (pixels - 255.0 * (change >= 0)).abs()


def _mask(difference: Tensor, inside: Tensor) -> Tensor:
    """How much of a difference ``(3, S, S)`` is kept, ``(S, S)``, 0 to 1; no more than ``inside`` has."""
    strength = _blurred(difference.abs().mean(0), len(inside) * BLUR) * inside
    strongest = _quantile(strength, STRONGEST)
    least, full = max(FAINT, LEAST * strongest), max(2 * FAINT, FULL * strongest)
    share = smoothstep((strength - least) / (full - least))
    return share * inside * _connected(strength > max(2 * FAINT, SURE * strongest), share > 0)


def _connected(seeds: Tensor, places: Tensor) -> Tensor:
    """The places ``(S, S)`` bool that hang together with a seed: cell by cell of a grid, by sides or corners."""
    passable = _in_cells(places.numpy())  # (S / CELL, S / CELL)
    reached = _in_cells((seeds & places).numpy())
    count = -1
    while (now := int(np.count_nonzero(reached))) != count:
        count = now
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        reached = grown.copy()
        reached[:, 1:] |= grown[:, :-1]
        reached[:, :-1] |= grown[:, 1:]
        reached &= passable
    return torch.from_numpy(reached.repeat(CELL, 0).repeat(CELL, 1)) & places


def _in_cells(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """In which cells of the grid there is any."""
    side = len(places) // CELL
    return np.asarray(places.reshape(side, CELL, side, CELL).any(axis=(1, 3)))


def _quantile(values: Tensor, share: float) -> float:
    """``torch.quantile`` to the bit, without sorting them all: in a third of the time."""
    flat = values.numpy().ravel()
    rank = float(np.float32(share)) * (flat.size - 1)
    below = int(rank)
    two = torch.from_numpy(np.partition(flat, (below, below + 1))[below : below + 2])
    return float(torch.lerp(two[0], two[1], rank - below))


def _blurred(plane: Tensor, sigma: float) -> Tensor:
    """A plane ``(h, w)`` under a Gaussian; its edge goes on beyond it."""
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
