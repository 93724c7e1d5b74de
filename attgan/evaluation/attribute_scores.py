"""How well each attribute is recognised. Accuracy alone is high for any rare attribute, so it is also balanced."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class AttributeScore(NamedTuple):
    """How well one attribute is recognised.

    Attributes:
        attribute: its name.
        share: of the faces that have it.
        accuracy: share of correct predictions.
        recall: share of correct predictions among the faces that have it; NaN where none has.
        balanced_accuracy: mean of the recall and of the same among those that lack it; NaN where either is empty.
        false_positives: share of wrong predictions among the faces that lack it; NaN where none does.
    """

    attribute: str
    share: float
    accuracy: float
    recall: float
    balanced_accuracy: float
    false_positives: float


def attribute_scores(
    predicted: np.ndarray, labels: np.ndarray, attributes: Sequence[str], known: np.ndarray | None = None
) -> tuple[AttributeScore, ...]:
    """Score each attribute.

    Args:
        predicted, labels: ``(N, n)`` bool, of at least one face.
        attributes: n names.
        known: ``(N, n)`` bool, which labels are known; None: all. The scores of an attribute without any are NaN.
    """
    scores = []
    if known is None:
        known = np.ones_like(labels)
    for name, all_guesses, all_labels, mask in zip(attributes, predicted.T, labels.T, known.T, strict=True):
        guess, true = all_guesses[mask], all_labels[mask]
        if not len(true):
            scores.append(AttributeScore(name, *[math.nan] * 5))
            continue
        found, rejected = _share(guess[true]), _share(~guess[~true])
        right = float((guess == true).mean())
        balanced = (found + rejected) / 2
        scores.append(AttributeScore(name, float(true.mean()), right, found, balanced, 1 - rejected))
    return tuple(scores)


def mean_scores(scores: Sequence[AttributeScore]) -> dict[str, float]:
    """``accuracy`` and ``balanced_accuracy``: means over the attributes for which they are known, or NaN."""
    balanced = [s.balanced_accuracy for s in scores if not math.isnan(s.balanced_accuracy)]
    accuracies = [s.accuracy for s in scores if not math.isnan(s.accuracy)]
    return {
        "accuracy": sum(accuracies) / len(accuracies) if accuracies else math.nan,
        "balanced_accuracy": sum(balanced) / len(balanced) if balanced else math.nan,
    }


def _share(right: np.ndarray) -> float:
    return float(right.mean()) if len(right) else math.nan
