"""The proposal network on a whole photograph, at every size that a face may have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attgan.detection.candidates import Candidates, best_rows
from attgan.detection.cascade import STRIDE, WINDOW, ProposalNet
from attgan.detection.crops import Photograph, normalised, resized

# At 0.6, as published, a third more windows reach the refinement network; measured, they gave no further face.
# At 0.75 faces are lost.
CONFIDENCE = 0.7
# The overlap above which the less confident of two windows is dropped: of one level, then of all.
WITHIN_LEVEL, AMONG_LEVELS = 0.5, 0.7


def propose(network: ProposalNet, photograph: Photograph, smallest: float, image: int) -> Candidates:
    """Boxes of one photograph in which the network sees a face, corrected.

    Args:
        network: on the photograph's device.
        photograph: to search.
        smallest: side of the smallest window, in pixels of the photograph.
        image: the number of the photograph among others.
    """
    levels = pyramid(photograph, WINDOW / smallest)
    if not levels:
        return Candidates(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0, np.float32))
    confidences, corrections = zip(*map(network, levels), strict=True)
    every = torch.cat([confidence.flatten() for confidence in confidences])
    chosen = torch.nonzero(every >= CONFIDENCE)[:, 0]
    number, boxes = _windows(
        chosen.cpu().numpy(), [confidence.shape[1:] for confidence in confidences], levels, photograph.size
    )
    candidates = Candidates(np.full(len(boxes), image), boxes, every[chosen].cpu().numpy())
    moves = torch.cat([moved[0].flatten(1).T for moved in corrections])[chosen].cpu().numpy()
    best = best_rows(candidates, number, WITHIN_LEVEL)
    candidates, moves = candidates.take(best), moves[best]
    best = best_rows(candidates, candidates.image, AMONG_LEVELS)
    return candidates.take(best).corrected(moves[best])


def pyramid(photograph: Photograph, scale: float) -> list[Tensor]:
    """The photograph at ``scale``, and then at 1/√2 of the size before, as long as a window fits in.

    Returns:
        ``(1, 3, h, w)`` each, float32 in [-1, 1].
    """
    height, width = photograph.size
    made: list[Tensor] = []
    while min(height, width) * scale >= WINDOW:
        # From the smallest level that has enough pixels.
        level = min(max(0, math.floor(-math.log2(scale))), len(photograph.levels) - 1)
        made.append(
            normalised(resized(photograph.levels[level], round(height * scale), round(width * scale)))
        )
        scale /= math.sqrt(2)
    return made


def _windows(
    chosen: NDArray[np.int64],
    shapes: Sequence[Sequence[int]],
    levels: Sequence[Tensor],
    size: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The number of the level that each window is of, ``(N,)``, and its box ``(N, 4)`` in the photograph's pixels.

    Args:
        chosen: ``(N,)``, the windows' places among those of all levels, one level after the other, row by row.
        shapes: of the windows of each level: rows and columns.
        levels: as :func:`pyramid` returns them.
        size: of the photograph: height and width.
    """
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    number = np.searchsorted(ends, chosen, side="right")
    columns = np.array([columns for _, columns in shapes])[number]
    top, left = np.divmod(chosen - np.concatenate([[0], ends])[number], columns)
    corners = np.stack([left, top], axis=1) * STRIDE
    pixel = np.array([[size[1] / level.shape[3], size[0] / level.shape[2]] for level in levels])[number]
    return number, np.concatenate([corners, corners + WINDOW], axis=1) * np.tile(pixel, 2)
