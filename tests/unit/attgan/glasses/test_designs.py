"""Each set of styles has one design, with exactly these styles."""

from attgan.attributes import SHAPES
from attgan.glasses.designs import DEFAULT, DESIGNS, design_of


def test_designs_have_exactly_their_styles_one_shape_each_and_differ() -> None:
    assert DEFAULT in DESIGNS
    assert all(design_of(styles).styles == styles for styles in DESIGNS)
    assert all(len(styles & set(SHAPES)) == 1 for styles in DESIGNS)
    assert len({design_of(styles) for styles in DESIGNS}) == len(DESIGNS)
