"""Each set of styles has one design, with exactly these styles."""

from collections import Counter

import numpy as np

from attgan.attributes import SHAPES, STYLES
from attgan.glasses.designs import DEFAULT, DESIGNS, design_of, sample_design


def test_designs_have_exactly_their_styles_one_shape_each_and_differ() -> None:
    assert DEFAULT in DESIGNS
    assert all(design_of(styles).styles == styles for styles in DESIGNS)
    assert all(len(styles & set(SHAPES)) == 1 for styles in DESIGNS)
    assert len({design_of(styles) for styles in DESIGNS}) == len(DESIGNS)


def test_random_designs_use_every_style_and_few_sunglasses() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_design(rng) for _ in range(800)]
    counts = Counter(name for styles in drawn for name in styles)
    assert set(counts) == set(STYLES)
    assert counts["Sunglasses"] < len(drawn) / 5
