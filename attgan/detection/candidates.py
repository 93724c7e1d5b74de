"""Boxes that may contain a face, in several photographs at once; correction, squaring and suppression of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from attgan.detection.similarity import Matrix


@dataclass(frozen=True)
class Candidates:
    """N boxes.

    Attributes:
        image: ``(N,)`` int64, the photograph that each is in.
        boxes: ``(N, 4)`` float64: left, top, right, bottom, in its pixels.
        confidence: ``(N,)`` float32, 0 to 1.
    """

    image: NDArray[np.int64]
    boxes: NDArray[np.float64]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Candidates:
        """These rows, in this order."""
        return Candidates(self.image[rows], self.boxes[rows], self.confidence[rows])

    def corrected(self, corrections: NDArray[np.float32]) -> Candidates:
        """With each edge moved by its correction ``(N, 4)``, in shares of the box's width or height."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return Candidates(self.image, self.boxes + corrections * np.tile(sides, 2), self.confidence)

    def squared(self) -> Candidates:
        """With the shorter side of each box made as long as the longer one, about its centre."""
        centre = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        half = (self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1, keepdims=True) / 2
        return Candidates(self.image, np.concatenate([centre - half, centre + half], axis=1), self.confidence)

    def crops(self, size: int) -> Matrix:
        """``(N, 2, 3)``: matrices from pixels of crops of side ``size`` to the photographs'. Boxes are square."""
        matrices = np.zeros((len(self), 2, 3))
        matrices[:, 0, 0] = matrices[:, 1, 1] = (self.boxes[:, 2] - self.boxes[:, 0]) / size
        matrices[:, :, 2] = self.boxes[:, :2]
        return matrices


def concatenate(parts: Sequence[Candidates]) -> Candidates:
    """All candidates, one part after the other."""
    if not parts:
        return Candidates(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0, np.float32))
    return Candidates(
        np.concatenate([part.image for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.confidence for part in parts]),
    )


def best_rows(candidates: Candidates, groups: NDArray[np.int64], overlap: float) -> NDArray[np.int64]:
    """Rows that no more confident row of their group overlaps by more (intersection over union); best rows first."""
    # This import takes as long as all others together, and 160 MB: processes without photographs do not need it.
    from torchvision.ops import batched_nms

    kept = batched_nms(
        torch.from_numpy(candidates.boxes).float(),
        torch.from_numpy(candidates.confidence),
        torch.from_numpy(groups),
        overlap,
    )
    rows: NDArray[np.int64] = kept.numpy()
    return rows


def best_faces(candidates: Candidates, overlap: float) -> NDArray[np.int64]:
    """Like :func:`best_rows`, with the intersection over the *smaller* box, so that no face remains inside another."""
    left, top, right, bottom = candidates.boxes.T
    areas = (right - left) * (bottom - top)
    kept: list[int] = []
    for row in np.argsort(-candidates.confidence, kind="stable"):
        others = [other for other in kept if candidates.image[other] == candidates.image[row]]
        width = np.minimum(right[row], right[others]) - np.maximum(left[row], left[others])
        height = np.minimum(bottom[row], bottom[others]) - np.maximum(top[row], top[others])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        if not (shared > overlap * np.minimum(areas[row], areas[others])).any():
            kept.append(int(row))
    return np.array(kept, np.int64)
