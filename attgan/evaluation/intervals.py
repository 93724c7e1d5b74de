"""Figures with their 95 % intervals, by the bootstrap over faces.

Every replicate draws as many faces as there are, with replacement, and computes the figure once more. The interval is
what lies between the 2.5th and the 97.5th percentile of the replicates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attgan.data.loading.order import random_keys

Array = NDArray[np.float64]

REPLICATES = 1000
LEVEL = 0.95
_ENDS = (50 * (1 - LEVEL), 50 * (1 + LEVEL))


class Figure(NamedTuple):
    """A measured number.

    Attributes:
        value: its estimate.
        low, high: ends of its 95 % interval.
        faces: how many it was measured on.
    """

    value: float
    low: float
    high: float
    faces: int


def resampled(count: int, *key: int | str, replicates: int = REPLICATES) -> Array:
    """How often each face is drawn in each replicate.

    Args:
        count: n, of the faces, at least 1.
        key: what the draw is for; the same key and count give the same draw.
        replicates: R.

    Returns:
        ``(R, n)`` float64, whole numbers; every row adds up to n.
    """
    drawn = (random_keys(replicates * count, "bootstrap", *key) % np.uint64(count)).astype(np.int64)
    drawn += np.repeat(np.arange(replicates), count) * count
    counts = np.bincount(drawn, minlength=replicates * count)
    return counts.reshape(replicates, count).astype(np.float64)


def mean_figure(values: ArrayLike, *key: int | str, weights: ArrayLike | None = None) -> Figure | None:
    """The mean of one number per face.

    Where all values are 0, or all 1, the replicates do not differ. The interval is then the exact one of a share
    without a single case (Clopper and Pearson, 1934), and not empty.

    Args:
        values: ``(n,)``.
        key: of the draws.
        weights: ``(n,)``, 0 or more; by default equal.

    Returns:
        None where no face has a weight.
    """
    numbers = np.asarray(values, np.float64)
    shares = np.ones_like(numbers) if weights is None else np.asarray(weights, np.float64)
    numbers, shares = numbers[shares > 0], shares[shares > 0]
    if not len(numbers):
        return None
    value = float(numbers @ shares / shares.sum())
    if value in (0.0, 1.0) and np.all(numbers == value):
        unseen = 1 - ((1 - LEVEL) / 2) ** (1 / len(numbers))
        return Figure(value, max(0.0, value - unseen), min(1.0, value + unseen), len(numbers))
    counts = resampled(len(numbers), *key)
    return _figure(value, (counts @ (numbers * shares)) / (counts @ shares), len(numbers))


def ratio_figure(
    above: ArrayLike,
    below: ArrayLike,
    *key: int | str,
    weights_above: ArrayLike | None = None,
    weights_below: ArrayLike | None = None,
) -> Figure | None:
    """The mean over one group of faces as a share of the mean over another.

    Args:
        above: ``(n,)``, the numbers of the one group.
        below: ``(m,)``, those of the other, which consists of other people.
        key: of the draws.
        weights_above: ``(n,)``, 0 or more; by default equal.
        weights_below: ``(m,)``, likewise.

    Returns:
        ``faces`` is the number of those above. None where a group is empty or the mean below is 0.
    """
    means: list[tuple[float, Array]] = []
    count = 0
    for name, values, weights in (("above", above, weights_above), ("below", below, weights_below)):
        numbers = np.asarray(values, np.float64)
        shares = np.ones_like(numbers) if weights is None else np.asarray(weights, np.float64)
        numbers, shares = numbers[shares > 0], shares[shares > 0]
        if not len(numbers):
            return None
        counts = resampled(len(numbers), name, *key)
        means.append((numbers @ shares / shares.sum(), (counts @ (numbers * shares)) / (counts @ shares)))
        count = count or len(numbers)
    (top, tops), (bottom, bottoms) = means
    return None if bottom == 0 else _figure(float(top / bottom), tops / bottoms, count)


def spread_figure(value: float, replicates: Array, faces: int) -> Figure:
    """A figure from replicates ``(R,)`` that the caller has computed."""
    return _figure(value, replicates, faces)


def _figure(value: float, replicates: Array, faces: int) -> Figure:
    low, high = np.percentile(replicates[np.isfinite(replicates)], _ENDS)
    return Figure(value, float(low), float(high), faces)
