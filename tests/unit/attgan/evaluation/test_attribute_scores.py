"""Scores of recognised attributes against their definitions."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attgan.evaluation.attribute_scores import attribute_scores, mean_scores


def test_a_rare_attribute_that_is_never_seen_has_no_balanced_accuracy_worth_mentioning() -> None:
    labels = np.zeros((100, 2), dtype=bool)
    labels[:7, 0] = labels[:50, 1] = True
    said = np.zeros((100, 2), dtype=bool)
    said[:40, 1] = said[60:70, 1] = True
    rare, common = attribute_scores(said, labels, ("Eyeglasses", "Male"))
    assert rare == ("Eyeglasses", 0.07, 0.93, 0.0, 0.5, 0.0)
    np.testing.assert_allclose(common[1:], (0.5, 0.8, 0.8, 0.8, 0.2))
    assert mean_scores([rare, common]) == {"accuracy": 0.865, "balanced_accuracy": 0.65}


def test_what_is_unknown_is_no_number() -> None:
    labels = np.array([[True, False], [True, True]])
    always, half = attribute_scores(labels, labels, ("Always", "Half"))
    assert math.isnan(always.balanced_accuracy)
    assert math.isnan(always.false_positives)
    assert (always.recall, half.balanced_accuracy, half.false_positives) == (1, 1, 0)
    assert mean_scores([always, half]) == {"accuracy": 1, "balanced_accuracy": 1}
    assert math.isnan(mean_scores([always])["balanced_accuracy"])


@given(arrays(bool, (9, 3)), arrays(bool, (9, 3)), st.permutations(range(9)))
def test_neither_order_nor_sides_matter(said: np.ndarray, labels: np.ndarray, order: list[int]) -> None:
    names = ("a", "b", "c")
    scores = attribute_scores(said, labels, names)
    np.testing.assert_equal(attribute_scores(said[order], labels[order], names), scores)
    for score, turned in zip(scores, attribute_scores(~said, ~labels, names), strict=True):
        np.testing.assert_allclose(turned.accuracy, score.accuracy)
        np.testing.assert_allclose(turned.balanced_accuracy, score.balanced_accuracy)
        assert 0 <= score.accuracy <= 1
