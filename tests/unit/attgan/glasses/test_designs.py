from collections import Counter

import numpy as np
import pytest

from attgan.attributes import SHAPES, STYLES
from attgan.glasses.designs import DEFAULT, DESIGNS, design_of, draw_design


@pytest.mark.parametrize("styles", DESIGNS, ids=lambda styles: "-".join(sorted(styles)))
def test_each_set_of_styles_stands_for_one_pair_that_has_just_these(styles: frozenset[str]) -> None:
    design = design_of(styles)
    assert design.styles == styles
    design_of.cache_clear()
    assert design_of(styles) == design


def test_designs_have_one_shape_each_and_differ() -> None:
    assert DEFAULT in DESIGNS
    assert all(len(styles & set(SHAPES)) == 1 for styles in DESIGNS)
    assert len({design_of(styles) for styles in DESIGNS}) == len(DESIGNS)


def test_set_of_styles_that_no_glasses_have_is_refused() -> None:
    with pytest.raises(ValueError, match="Metal"):
        design_of(frozenset({"Round", "Metal", "Thick_Rim"}))


def test_designs_are_drawn_with_every_name_and_few_sunglasses() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_design(random) for _ in range(2000)]
    counts = Counter(name for styles in drawn for name in styles)
    assert set(counts) == set(STYLES)
    assert counts["Sunglasses"] < len(drawn) / 5
