"""What glasses do to a face, as layers over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Layers:
    """What glasses do to a face: worn = bent face × transmittance + added, all 0 to 1.

    Attributes:
        top: row of the picture where the layers begin.
        left: likewise the column; beyond the layers nothing changes.
        transmittance: ``(h, w, 3)`` float32, what is left of the face.
        added: ``(h, w, 3)`` float32, light of the glasses themselves.
        offset: ``(h, w, 2)`` float32, in pixels to the right and down: where the light of a pixel comes from, seen
            from its own place.
    """

    top: int
    left: int
    transmittance: Array
    added: Array
    offset: Array


def compose(face: NDArray[np.uint8], layers: Layers) -> NDArray[np.uint8]:
    """A face ``(H, W, 3)`` uint8 under layers, likewise."""
    worn = face.copy()
    height, width = layers.transmittance.shape[:2]
    if not (height and width):
        return worn
    band = (slice(layers.top, layers.top + height), slice(layers.left, layers.left + width))
    below = face[band].astype(np.float32)
    rows, columns = np.nonzero(np.abs(layers.offset).max(-1) > 0.02)
    if len(rows):
        below[rows, columns] = _sampled(face, layers, rows, columns)
    result = below * layers.transmittance + 255 * layers.added
    worn[band] = np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return worn


def _sampled(
    face: NDArray[np.uint8], layers: Layers, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Array:
    """The face where the offsets point, by bilinear interpolation: ``(n, 3)``."""
    right, down = layers.offset[rows, columns].T
    x = np.clip(columns + layers.left + right, 0, face.shape[1] - 1)
    y = np.clip(rows + layers.top + down, 0, face.shape[0] - 1)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, face.shape[1] - 1), np.minimum(y0 + 1, face.shape[0] - 1)
    fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
    above = face[y0, x0] * (1 - fx) + face[y0, x1] * fx
    below = face[y1, x0] * (1 - fx) + face[y1, x1] * fx
    sampled: Array = (above * (1 - fy) + below * fy).astype(np.float32)
    return sampled
