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


def test_it_is_the_same_place_at_every_size_and_on_both_sides() -> None:
    small, large = edit_region("Eyeglasses", 64), edit_region("Eyeglasses", 256)
    assert small is not None
    assert large is not None
    assert (small.shape, large.shape) == ((64, 64), (256, 256))
    assert (large[2::4, 2::4] == small).mean() > 0.97
    np.testing.assert_array_equal(large, large[:, ::-1])
    assert edit_region("Eyeglasses", 64) is small
    with pytest.raises(ValueError, match="read-only"):
        small[0, 0] = True


def test_what_cannot_be_drawn_has_none() -> None:
    assert edit_region("Attractive", 64) is None
