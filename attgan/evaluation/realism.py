"""How realistic edited pictures are, by the kernel inception distance (Bińkowski et al., 2018) to photographs.

It is the squared maximum mean discrepancy of two sets of features under the kernel (x·y / d + 1)³, by the unbiased
estimator. The paper averages it over subsets, for its cost alone; here it is computed over all pairs at once, which
has the same expectation and less variance. Faces may have weights, so that two sets are compared as if pose, sex and
age were distributed alike in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attgan.data.loading.order import permutation
from attgan.evaluation.intervals import Figure, resampled, spread_figure

Array = NDArray[np.float64]

# Number of random splits of the wearers into halves, whose distance is the best that can be reached.
_HALVES = 200
# Fewest faces on each side for which the distance is computed.
LEAST = 20


class Realism(NamedTuple):
    """Kernel inception distances to photographs of wearers, and their place between best and worst.

    Attributes:
        kid: of the pictures.
        best: of one random half of the wearers to the other: the mean over the halves, and the range of 95 % of them,
            which is the noise of a sample of that size.
        worst: of bare faces.
        relative: (kid - best) / (worst - best): 0 is as realistic as can be, 1 is as far from wearers as bare faces.
    """

    kid: Figure
    best: Figure
    worst: Figure
    relative: Figure


def polynomial_kernel(features: NDArray[np.floating], others: NDArray[np.floating]) -> Array:
    """(x·y / d + 1)³ of all pairs: ``(n, d)`` and ``(m, d)`` give ``(n, m)`` float64."""
    products = features.astype(np.float64) @ others.astype(np.float64).T
    kernel: Array = (products / features.shape[1] + 1) ** 3
    return kernel


def kid(
    features: NDArray[np.floating],
    others: NDArray[np.floating],
    weights: Array | None = None,
    other_weights: Array | None = None,
) -> float:
    """The unbiased squared maximum mean discrepancy of two sets of features.

    Args:
        features: ``(n, d)``, n at least 2.
        others: ``(m, d)``, m at least 2.
        weights: ``(n,)``, 0 or more; by default equal.
        other_weights: ``(m,)``, likewise.
    """
    ours = np.ones(len(features)) if weights is None else weights
    theirs = np.ones(len(others)) if other_weights is None else other_weights
    within = _within(polynomial_kernel(features, features), ours[None])
    other_within = _within(polynomial_kernel(others, others), theirs[None])
    between = _between(polynomial_kernel(features, others), ours[None], theirs[None])
    return float((within + other_within - 2 * between)[0])


def matching_weights(cells: Sequence[Hashable], others: Sequence[Hashable]) -> tuple[Array, Array]:
    """Weights under which faces are distributed over cells as other faces are.

    Args:
        cells: of n faces: what is to be distributed alike, such as pose and sex.
        others: of m other faces.

    Returns:
        ``(n,)``: how many of the others each face represents; ``(m,)``: 1, or 0 for those in whose cell there is no
        face. Both have the same sum.
    """
    ours, theirs = Counter(cells), Counter(others)
    weights = np.array([theirs[cell] / ours[cell] for cell in cells], np.float64)
    other_weights = np.array([float(cell in ours) for cell in others], np.float64)
    return weights, other_weights


def realism(
    pictures: NDArray[np.floating],
    bare: NDArray[np.floating],
    wearers: NDArray[np.floating],
    *key: int | str,
    weights: Array | None = None,
    wearer_weights: Array | None = None,
) -> Realism | None:
    """Compare the distance of pictures to photographs of wearers with that of bare faces and of other wearers.

    Args:
        pictures: ``(n, d)`` features.
        bare: ``(n, d)``, of the originals of the pictures; a replicate draws the same faces of both.
        wearers: ``(m, d)``, other people.
        key: seed of the resampling.
        weights: ``(n,)``, see :func:`matching_weights`.
        wearer_weights: ``(m,)``, likewise.

    Returns:
        None where fewer than 20 faces of a side have a weight.
    """
    ours = np.ones(len(pictures)) if weights is None else weights
    theirs = np.ones(len(wearers)) if wearer_weights is None else wearer_weights
    pictures, bare, ours = pictures[ours > 0], bare[ours > 0], ours[ours > 0]
    wearers, theirs = wearers[theirs > 0], theirs[theirs > 0]
    if min(len(ours), len(theirs)) < LEAST:
        return None
    among_wearers = polynomial_kernel(wearers, wearers)
    best = _between_halves(among_wearers, theirs, *key)
    # The first row is the estimate itself, the others are the replicates.
    drawn = ours * np.vstack([np.ones(len(ours)), resampled(len(ours), "pictures", *key)])
    drawn_wearers = theirs * np.vstack([np.ones(len(theirs)), resampled(len(theirs), "wearers", *key)])
    within_wearers = _within(among_wearers, drawn_wearers)
    distances = []
    for features in (pictures, bare):
        within = _within(polynomial_kernel(features, features), drawn)
        between = _between(polynomial_kernel(features, wearers), drawn, drawn_wearers)
        distances.append(within + within_wearers - 2 * between)
    found, worst = distances
    relative = (found - best.mean()) / (worst - best.mean())
    count = len(ours)
    return Realism(
        kid=spread_figure(float(found[0]), found[1:], count),
        best=spread_figure(float(best.mean()), best, len(theirs)),
        worst=spread_figure(float(worst[0]), worst[1:], count),
        relative=spread_figure(float(relative[0]), relative[1:], count),
    )


def _between_halves(kernel: Array, weights: Array, *key: int | str) -> Array:
    """The distance of one half of the wearers to the other, for many random halves."""
    count = len(weights)
    first = np.zeros((_HALVES, count))
    for row in range(_HALVES):
        first[row, permutation(count, "halves", row, *key)[: count // 2]] = 1
    one, other = first * weights, (1 - first) * weights
    return _within(kernel, one) + _within(kernel, other) - 2 * _between(kernel, one, other)


def _within(kernel: Array, weights: Array) -> Array:
    """The kernel's mean over pairs of different faces ``(R,)``, under weights ``(R, n)``.

    A face that a replicate has drawn twice does not form a pair with itself: that would bias the distance towards 0.
    """
    squares = weights**2
    pairs = ((weights @ kernel) * weights).sum(1) - squares @ np.diagonal(kernel)
    mean: Array = pairs / (weights.sum(1) ** 2 - squares.sum(1))
    return mean


def _between(kernel: Array, weights: Array, others: Array) -> Array:
    """The kernel's mean over pairs of one face of either set ``(R,)``, under weights ``(R, n)`` and ``(R, m)``."""
    mean: Array = ((weights @ kernel) * others).sum(1) / (weights.sum(1) * others.sum(1))
    return mean
