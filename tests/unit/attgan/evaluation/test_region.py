"""The region of an attribute holds what true pairs change, and little else."""

import numpy as np
import pytest

from attgan.evaluation.pairs import draw_true_pairs
from attgan.evaluation.region import edit_region


@pytest.mark.parametrize(("attribute", "largest"), [("Eyeglasses", 0.2), ("Mustache", 0.1)])
def test_what_other_pairs_change_lies_inside(attribute: str, largest: float) -> None:
    region = edit_region(attribute, 96)
    assert region is not None
    pairs = draw_true_pairs(10, size=96, attribute=attribute, seed=77)
    change = np.abs(pairs.with_it.astype(int) - pairs.without).sum(axis=3)
    assert change[:, region].sum() > 0.97 * change.sum()
    assert region.mean() < largest
