"""Scores of recognised attributes against their definitions."""

import math

import numpy as np

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
