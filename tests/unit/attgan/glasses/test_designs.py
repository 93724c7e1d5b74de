"""Each set of styles has one design, with exactly these styles."""

from collections import Counter

import numpy as np
import pytest

from attgan.attributes import SHAPES, STYLES
from attgan.glasses.designs import DEFAULT, DESIGNS, design_of, sample_design


@pytest.mark.parametrize("styles", DESIGNS, ids=lambda styles: "-".join(sorted(styles)))
def test_design_has_exactly_its_styles(styles: frozenset[str]) -> None:
    design = design_of(styles)
    assert design.styles == styles
    design_of.cache_clear()
    assert design_of(styles) == design


def test_designs_have_one_shape_each_and_differ() -> None:
    assert DEFAULT in DESIGNS
    assert all(len(styles & set(SHAPES)) == 1 for styles in DESIGNS)
    assert len({design_of(styles) for styles in DESIGNS}) == len(DESIGNS)


def test_impossible_set_of_styles_is_refused() -> None:
    with pytest.raises(ValueError, match="Metal"):
        design_of(frozenset({"Round", "Metal", "Thick_Rim"}))


def test_random_designs_use_every_style_and_few_sunglasses() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_design(rng) for _ in range(2000)]
    counts = Counter(name for styles in drawn for name in styles)
    assert set(counts) == set(STYLES)
    assert counts["Sunglasses"] < len(drawn) / 5
