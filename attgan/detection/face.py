"""A detected face, and the interface of face detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LANDMARKS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
"""The landmarks in their order; left and right as the viewer sees them."""

MIRRORED = (1, 0, 2, 4, 3)
"""For each landmark, its index in the mirror image."""


@dataclass(frozen=True)
class Face:
    """A face, in pixels of the photograph; the outer corner of its first pixel is (0, 0).

    Attributes:
        box: left, top, right, bottom; may extend beyond the photograph.
        landmarks: ``(5, 2)`` float32, x and y of :data:`LANDMARKS`.
        confidence: 0 to 1, of the detector; those of two detectors are not comparable.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    confidence: float

    @property
    def size(self) -> float:
        """The longer side of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)


class FaceDetector(Protocol):
    """Finds the faces in photographs. To add a detector, write a class with this method."""

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """The faces in each photograph, the most confident first. The other photographs do not affect them.

        Args:
            images: ``(H, W, 3)`` uint8, RGB, each of its own size.
        """
        ...
