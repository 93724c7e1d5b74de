import itertools
from collections import Counter

import numpy as np
import pytest

from attgan.attributes import DEFAULT_STYLE, SHAPES, STYLES
from attgan.editing.styles import check_styles, drawn_style, style_vector
from attgan.glasses import draw_glasses
from attgan.glasses.designs import DESIGNS
from tests.support.refusals import refused


def test_names_given_are_positive_and_the_others_negative() -> None:
    vector = dict(zip(STYLES, style_vector(["round", "metal"], STYLES), strict=True))
    assert {name for name, value in vector.items() if value > 0} == {"Round", "Metal"}
    assert set(vector.values()) == {np.float32(0.5), np.float32(-0.5)}


@pytest.mark.parametrize("style", [name for name in STYLES if name not in SHAPES])
def test_style_without_a_shape_gets_one_that_goes_with_it(style: str) -> None:
    chosen = {name for name, value in zip(STYLES, style_vector([style], STYLES), strict=True) if value > 0}
    assert frozenset(chosen) in DESIGNS
    assert style in chosen


def test_whatever_can_be_asked_for_is_a_design_that_was_taught() -> None:
    for style in {*(drawn_style(str(number), 0) for number in range(300)), DEFAULT_STYLE}:
        chosen = {name for name, value in zip(STYLES, style_vector(style, STYLES), strict=True) if value > 0}
        assert frozenset(chosen) in DESIGNS


@pytest.mark.parametrize(
    ("styles", "code"),
    [
        (["triangle"], "style-unknown"),
        ([""], "style-unknown"),
        (["round", "oval"], "style-conflict"),
        (["rimless", "metal"], "style-conflict"),
        (["mixed", "metal"], "style-conflict"),
    ],
)
def test_styles_that_cannot_be_are_refused(styles: list[str], code: str) -> None:
    with refused(code, "--style"):
        check_styles(styles, STYLES, "--style x")


def test_bundle_without_styles_takes_none() -> None:
    check_styles([], (), "--style")
    with refused("styles-unsupported"):
        check_styles(["round"], (), "--style round")


def test_mixed_styles_are_fixed_by_key_and_face_and_use_every_name() -> None:
    drawn = [drawn_style(f"photo-{number}.jpg", number % 3) for number in range(1200)]
    assert drawn == [drawn_style(f"photo-{number}.jpg", number % 3) for number in range(1200)]
    counts = Counter(name for style in drawn for name in style)
    assert set(counts) == set(STYLES)
    assert counts["Sunglasses"] < len(drawn) / 5
    for style in {*drawn, DEFAULT_STYLE}:
        check_styles(style, STYLES, "--style")


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(STYLES, 2)))
def test_styles_are_refused_together_where_no_glasses_have_both(one: str, other: str) -> None:
    try:
        draw_glasses(np.random.default_rng(0), {one, other})
    except ValueError:
        with refused("style-conflict", "--style"):
            check_styles([one, other], STYLES, "--style")
    else:
        check_styles([one, other], STYLES, "--style")
