import itertools
from collections import Counter

import numpy as np
import pytest

from attgan.attributes import DEFAULT_STYLE, SHAPES, STYLES
from attgan.editing.styles import check_styles, mixed_style, style_vector
from attgan.glasses import sample_glasses
from attgan.glasses.designs import DESIGNS
from tests.support.refusals import refused


def test_given_names_are_positive_and_the_others_negative() -> None:
    vector = dict(zip(STYLES, style_vector(["round", "metal"], STYLES), strict=True))
    assert {name for name, value in vector.items() if value > 0} == {"Round", "Metal"}
    assert set(vector.values()) == {np.float32(0.5), np.float32(-0.5)}


@pytest.mark.parametrize("style", [name for name in STYLES if name not in SHAPES])
def test_style_without_a_shape_gets_one_that_goes_with_it(style: str) -> None:
    chosen = {name for name, value in zip(STYLES, style_vector([style], STYLES), strict=True) if value > 0}
    assert frozenset(chosen) in DESIGNS
    assert style in chosen


def test_every_requested_style_is_a_design_of_training() -> None:
    for style in {*(mixed_style(str(number), 0) for number in range(300)), DEFAULT_STYLE}:
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
def test_impossible_styles_are_refused(styles: list[str], code: str) -> None:
    with refused(code, "--style"):
        check_styles(styles, STYLES, "--style x")


def test_bundle_without_styles_accepts_none() -> None:
    check_styles([], (), "--style")
    with refused("styles-unsupported"):
        check_styles(["round"], (), "--style round")


def test_mixed_styles_depend_on_key_and_face_alone() -> None:
    drawn = [mixed_style(f"photo-{number}.jpg", number % 3) for number in range(1200)]
    assert drawn == [mixed_style(f"photo-{number}.jpg", number % 3) for number in range(1200)]
    counts = Counter(name for style in drawn for name in style)
    assert set(counts) == set(STYLES)
    assert counts["Sunglasses"] < len(drawn) / 5
    for style in {*drawn, DEFAULT_STYLE}:
        check_styles(style, STYLES, "--style")


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(STYLES, 2)))
def test_two_styles_are_refused_if_no_glasses_have_both(one: str, other: str) -> None:
    try:
        sample_glasses(np.random.default_rng(0), {one, other})
    except ValueError:
        with refused("style-conflict", "--style"):
            check_styles([one, other], STYLES, "--style")
    else:
        check_styles([one, other], STYLES, "--style")
