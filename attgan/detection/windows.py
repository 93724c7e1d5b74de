"""The proposal network on a whole photograph, at every size that a face may have."""

from __future__ import annotations

import math

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
    height, width = photograph.size
    confidences, corrections, windows, groups = [], [], [], []
    for number, level in enumerate(pyramid(photograph, WINDOW / smallest)):
        confidence, moved = network(level)
        rows, columns = confidence.shape[1:]
        confidences.append(confidence.flatten())
        corrections.append(moved[0].flatten(1).T)
        windows.append(_windows(rows, columns, (width / level.shape[3], height / level.shape[2])))
        groups.append(np.full(rows * columns, number))
    if not windows:
        return Candidates(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0, np.float32))
    every = torch.cat(confidences)
    chosen = torch.nonzero(every >= CONFIDENCE)[:, 0]
    rows = chosen.cpu().numpy()
    candidates = Candidates(
        np.full(len(rows), image), np.concatenate(windows)[rows], every[chosen].cpu().numpy()
    )
    moves = torch.cat(corrections)[chosen].cpu().numpy()
    best = best_rows(candidates, np.concatenate(groups)[rows], WITHIN_LEVEL)
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


def _windows(rows: int, columns: int, pixel: tuple[float, float]) -> NDArray[np.float64]:
    """The windows of a level, ``(rows · columns, 4)``, where a pixel of it covers ``pixel`` of the photograph's."""
    top, left = np.divmod(np.arange(rows * columns), columns)
    corners = np.stack([left, top], axis=1) * STRIDE
    return np.concatenate([corners, corners + WINDOW], axis=1) * np.tile(pixel, 2)
