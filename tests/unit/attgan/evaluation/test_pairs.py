"""Edited faces against true pairs: what is measured, and that what an untouched or a perfect edit measures is known."""

import numpy as np
import pytest

from attgan.editing.editor import make_editor
from attgan.evaluation.pairs import TruePairs, draw_true_pairs, edit_pairs, measure_pairs
from attgan.models import Generator, GeneratorConfig, fresh

NAMES = ("Male", "Eyeglasses", "Young")


@pytest.fixture(scope="module")
def pairs() -> TruePairs:
    return draw_true_pairs(6, size=64, attribute="Eyeglasses", names=NAMES, seed=5)


def test_the_two_differ_about_the_eyes_alone(pairs: TruePairs) -> None:
    assert pairs.without.shape == pairs.with_it.shape == (6, 64, 64, 3)
    assert pairs.mask.any(axis=(1, 2)).all()
    assert not pairs.mask[:, :10].any()
    assert not pairs.mask[:, 50:].any()
    np.testing.assert_array_equal(pairs.without[~pairs.mask], pairs.with_it[~pairs.mask])
    assert not pairs.labels[:, 1].any(), "the faces that are edited do without"


def test_nothing_done_and_all_done_measure_as_they_should(pairs: TruePairs) -> None:
    untouched = measure_pairs(pairs, pairs.without)
    assert untouched.after == untouched.before > 5
    assert (untouched.outside, untouched.nearer) == (0, 0)
    perfect = measure_pairs(pairs, pairs.with_it)
    assert (perfect.after, perfect.outside, perfect.nearer) == (0, 0, 1)
    assert perfect.before == untouched.before


def test_half_way_is_half_the_distance_and_what_else_changes_is_outside(pairs: TruePairs) -> None:
    without, with_it = pairs.without.astype(int), pairs.with_it.astype(int)
    half = ((without + with_it) // 2).astype(np.uint8)
    half[~pairs.mask] = np.clip(pairs.without[~pairs.mask].astype(int) + 3, 0, 255).astype(np.uint8)
    measured = measure_pairs(pairs, half)
    assert measured.after == pytest.approx(measured.before / 2, abs=0.5)
    assert 2.5 < measured.outside <= 3
    with pytest.raises(ValueError, match="shape"):
        measure_pairs(pairs, half[:3])


def test_an_edit_is_the_generators(pairs: TruePairs) -> None:
    config = GeneratorConfig(n_attributes=3, image_size=64, width=2)
    editor = make_editor(fresh(Generator, config, 0), "cpu", 4)
    edited = edit_pairs(editor, pairs, 0.7)
    targets = np.where(pairs.labels > 0, 0.5, -0.5).astype(np.float32)
    targets[:, 1] = 0.7
    np.testing.assert_array_equal(edited, editor.edit(pairs.without, targets))
