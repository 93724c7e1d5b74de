"""Intervals hold the truth about as often as they say."""

import numpy as np
import pytest

from attgan.evaluation.intervals import mean_figure, ratio_figure

RNG_SEED = 5
REPEATS = 200


def test_the_interval_of_a_ratio_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(RNG_SEED)
    held = 0
    for repeat in range(REPEATS):
        above, below = rng.gamma(4, 2, 60), rng.gamma(4, 4, 50)
        figure = ratio_figure(above, below, "coverage", repeat)
        assert figure is not None
        held += figure.low <= 0.5 <= figure.high
    assert 0.89 <= held / REPEATS <= 0.99


def test_what_was_never_seen_has_an_interval_all_the_same() -> None:
    never, always = mean_figure(np.zeros(30), "x"), mean_figure(np.ones(30), "x")
    assert never is not None
    assert always is not None
    # With a true share of the upper end, not one in 30 is seen with a probability of 2.5 %.
    assert (1 - never.high) ** 30 == pytest.approx(0.025)
    assert (never.value, never.low, always.value, always.high) == (0, 0, 1, 1)
    assert always.low == pytest.approx(1 - never.high)


def test_without_faces_there_is_no_figure() -> None:
    assert mean_figure([], "x") is None
    assert mean_figure([1.0], "x", weights=[0.0]) is None
    assert ratio_figure([1.0], [], "x") is None
