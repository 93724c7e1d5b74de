"""The distance equals the paper's, pair by pair, and its ends are where they are said to be."""

import itertools

import numpy as np
import pytest

from attgan.evaluation.realism import kid, matching_weights, realism


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return (sum(float(a) * float(b) for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3


def by_pairs(one: np.ndarray, other: np.ndarray) -> float:
    """Bińkowski et al., equation 4, term by term."""
    n, m = len(one), len(other)
    within = sum(kernel(one[i], one[j]) for i, j in itertools.permutations(range(n), 2)) / (n * (n - 1))
    beyond = sum(kernel(other[i], other[j]) for i, j in itertools.permutations(range(m), 2)) / (m * (m - 1))
    between = sum(kernel(x, y) for x in one for y in other) / (n * m)
    return within + beyond - 2 * between


def drawn(seed: int, count: int, mean: float = 0.0, dimensions: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (count, dimensions)).astype(np.float32)


def test_the_distance_is_that_of_a_double_loop() -> None:
    one, other = drawn(0, 11), drawn(1, 8, 0.4)
    assert kid(one, other) == pytest.approx(by_pairs(one, other), rel=1e-6)


def test_a_weight_of_two_is_a_face_that_stands_for_two_and_never_a_pair_with_itself() -> None:
    one, other = drawn(0, 7), drawn(1, 6, 0.4)
    weights = np.array([2.0, 1, 1, 0, 1, 3, 1])
    twice = np.repeat(np.arange(7), weights.astype(int))
    pairs = [(i, j) for i, j in itertools.product(twice, twice) if i != j]
    within = np.mean([kernel(one[i], one[j]) for i, j in pairs])
    beyond = np.mean([kernel(other[i], other[j]) for i, j in itertools.permutations(range(6), 2)])
    between = np.mean([kernel(one[i], y) for i in twice for y in other])
    assert kid(one, other, weights) == pytest.approx(within + beyond - 2 * between, rel=1e-6)


def test_wearers_are_best_bare_faces_worst_and_half_way_is_between() -> None:
    wearers, bare = drawn(0, 120, 1.0), drawn(1, 150)
    as_real, half = (
        realism(drawn(2, 150, 1.0), bare, wearers, 0),
        realism(drawn(3, 150, 0.5), bare, wearers, 0),
    )
    untouched = realism(bare, bare, wearers, 0)
    assert as_real is not None
    assert half is not None
    assert untouched is not None
    assert as_real.relative.low <= 0 <= as_real.relative.high
    assert 0.1 < half.relative.value < 0.7
    assert untouched.relative[:3] == pytest.approx((1, 1, 1))
    assert abs(as_real.best.value) < 0.01 * as_real.worst.value
    assert as_real.best.low < 0 < as_real.best.high


def test_matched_faces_are_spread_over_cells_as_the_others_are() -> None:
    cells, others = ["a"] * 6 + ["b"] * 2 + ["c"], ["a", "a", "b", "b", "b", "b", "d"]
    weights, other_weights = matching_weights(cells, others)
    sums = [weights[np.array(cells) == name].sum() for name in "abc"]
    assert sums == pytest.approx([2, 4, 0])
    assert other_weights.tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert weights.sum() == pytest.approx(other_weights.sum())
