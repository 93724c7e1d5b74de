import itertools
from collections import Counter

import numpy as np
import pytest

from attgan.attributes import DEFAULT_STYLE, STYLES
from attgan.editing.styles import check_styles, mixed_style, style_vector
from attgan.glasses import sample_glasses
from attgan.glasses.designs import DESIGNS
from tests.support.refusals import refused


def test_every_requested_style_is_a_design_of_training() -> None:
    """One without a shape gets a shape that goes with it."""
    mixed = {mixed_style(str(number), 0) for number in range(100)}
    for style in (*mixed, DEFAULT_STYLE, *((name,) for name in STYLES)):
        chosen = {name for name, value in zip(STYLES, style_vector(style, STYLES), strict=True) if value > 0}
        assert frozenset(chosen) in DESIGNS
        assert {name.lower() for name in style} <= {name.lower() for name in chosen}


@pytest.mark.parametrize(
    ("styles", "code"), [(["triangle"], "style-unknown"), (["mixed", "metal"], "style-conflict")]
)
def test_impossible_styles_are_refused(styles: list[str], code: str) -> None:
    with refused(code, "--style"):
        check_styles(styles, STYLES, "--style x")


def test_mixed_styles_depend_on_key_and_face_alone() -> None:
    drawn = [mixed_style(f"photo-{number}.jpg", number % 3) for number in range(400)]
    assert drawn == [mixed_style(f"photo-{number}.jpg", number % 3) for number in range(400)]
    counts = Counter(name for style in drawn for name in style)
    assert set(counts) == set(STYLES)
    assert counts["Sunglasses"] < len(drawn) / 5
    for style in {*drawn, DEFAULT_STYLE}:
        check_styles(style, STYLES, "--style")


def test_two_styles_are_refused_if_no_glasses_have_both() -> None:
    for pair in itertools.combinations(STYLES, 2):
        try:
            sample_glasses(np.random.default_rng(0), set(pair))
        except ValueError:
            with refused("style-conflict", "--style"):
                check_styles(pair, STYLES, "--style")
        else:
            check_styles(pair, STYLES, "--style")
