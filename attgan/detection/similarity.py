"""Similarity transforms of the plane: rotation, scale and shift, which map one face onto another.

Points are ``(x, y)`` in pixels, continuous: (0, 0) is the outer corner of the first pixel, whose centre is (0.5, 0.5).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]
"""``(..., 2, 3)``: a point ``(x, y)`` is mapped to ``matrix @ (x, y, 1)``."""


def fit_similarity(source: ArrayLike, target: ArrayLike) -> Matrix:
    """The least-squares similarity, without a reflection, from ``source`` to ``target``.

    In the plane Umeyama's solution ("Least-squares estimation of transformation parameters between two point
    patterns", 1991) is a linear regression in complex numbers: t = a·s + b, where |a| is the scale and
    arg a the rotation.

    Args:
        source: ``(..., n, 2)``, n ≥ 2.
        target: likewise; the leading dimensions are broadcast.

    Returns:
        ``(..., 2, 3)`` float64.

    Raises:
        ValueError: all the points of a source are one.
    """
    start, end = _complex(source), _complex(target)
    start_mean, end_mean = start.mean(-1, keepdims=True), end.mean(-1, keepdims=True)
    spread = (np.abs(start - start_mean) ** 2).sum(-1)
    if not (spread > 0).all():
        raise ValueError("a similarity needs two points that differ")
    factor = (np.conj(start - start_mean) * (end - end_mean)).sum(-1) / spread
    shift = end_mean[..., 0] - factor * start_mean[..., 0]
    return np.stack(
        [
            np.stack([factor.real, -factor.imag, shift.real], -1),
            np.stack([factor.imag, factor.real, shift.imag], -1),
        ],
        -2,
    )


def apply(matrix: Matrix, points: ArrayLike) -> NDArray[np.float64]:
    """Points ``(..., n, 2)`` mapped by matrices ``(..., 2, 3)``."""
    return np.asarray(points, np.float64) @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def invert(matrix: Matrix) -> Matrix:
    """The inverse transform: ``(..., 2, 3)``."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -(linear @ matrix[..., 2:])], -1)


def scale_of(matrix: Matrix) -> NDArray[np.float64]:
    """Pixels of the target for one of the source, along a line: ``(...)``."""
    return np.hypot(matrix[..., 0, 0], matrix[..., 1, 0])


def _complex(points: ArrayLike) -> NDArray[np.complex128]:
    pairs = np.asarray(points, np.float64)
    return pairs[..., 0] + 1j * pairs[..., 1]
