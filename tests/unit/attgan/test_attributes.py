import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attgan.attributes import (
    CELEBA,
    EXCLUSIVE,
    LABEL_SCALE,
    PUBLISHED,
    Edit,
    have_already,
    label_vector,
    parse_edits,
    target_vector,
    unedited_vector,
)
from tests.support.refusals import refused

fixed = settings(derandomize=True, deadline=None, max_examples=60)

name_lists = st.sampled_from([PUBLISHED, CELEBA])
intensities = st.floats(0.01, 10, allow_nan=False)


@st.composite
def edits_of(draw, names):
    """Edits that parse_edits takes: no attribute twice, no two that are set and exclude each other."""
    edits = []
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=5)):
        rivals = {edit.attribute for edit in edits if edit.value} & EXCLUSIVE.get(name, frozenset())
        value = False if rivals else draw(st.booleans())
        edits.append(Edit(name, value, draw(intensities)))
    return tuple(edits)


@st.composite
def cases(draw):
    names = draw(name_lists)
    label = st.sampled_from([0.0, 1.0, math.nan])
    rows = st.lists(label, min_size=len(names), max_size=len(names))
    labels = np.array(draw(st.lists(rows, min_size=1, max_size=4)), dtype=np.float32)
    return names, labels, draw(edits_of(names))


def test_exclusive_groups_are_exactly_celebas():
    pairs = {frozenset((name, rival)) for name, rivals in EXCLUSIVE.items() for rival in rivals}
    hair = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]
    assert pairs == {
        frozenset(("Bald", "Bangs")),
        frozenset(("Receding_Hairline", "Bangs")),
        frozenset(("Straight_Hair", "Wavy_Hair")),
        frozenset(("Mustache", "No_Beard")),
        *(frozenset((one, other)) for one in hair for other in hair if one != other),
    }
    assert all(name in EXCLUSIVE[rival] for name, rivals in EXCLUSIVE.items() for rival in rivals)
    assert set(EXCLUSIVE) <= set(CELEBA)


def test_edits_are_read_with_their_intensities():
    edits = parse_edits(["Eyeglasses=1", "Young=0@0.8", " Male=1@2 "], intensity=1.2)
    assert edits == (Edit("Eyeglasses", True, 1.2), Edit("Young", False, 0.8), Edit("Male", True, 2.0))
    assert parse_edits([]) == ()


@given(st.data())
@fixed
def test_printed_edit_is_read_as_the_same_edit(data):
    names = data.draw(name_lists)
    edits = data.draw(edits_of(names))
    assert parse_edits([str(edit) for edit in edits], names=names) == edits


@pytest.mark.parametrize(
    ("texts", "rule"),
    [
        (["Eyeglases=1"], ("attribute-unknown", "--set", "1")),
        (["Smiling=1"], ("attribute-unknown",)),
        (["Eyeglasses"], ("edit-syntax", "1", "0")),
        (["Eyeglasses=2"], ("edit-syntax", "1", "0")),
        (["=1"], ("edit-syntax", "1", "0")),
        (["Eyeglasses=1@strong"], ("setting-invalid", "0", "10")),
        (["Eyeglasses=1@-1"], ("setting-invalid", "0", "10")),
        (["Young=1", "Young=1"], ("edit-repeated",)),
        (["Bangs=1", "Bald=1"], ("edit-conflict",)),
        (["Black_Hair=1", "Male=0", "Blond_Hair=1"], ("edit-conflict", "Blond_Hair", "Black_Hair")),
    ],
)
def test_wrong_edit_is_refused_in_one_line(texts, rule):
    with refused(*rule) as refusal:
        parse_edits(texts)
    assert refusal.value.line.startswith(f"--set {texts[-1]}")


def test_labels_become_halves_and_unknown_becomes_zero():
    vector = label_vector([[0, 1, math.nan], [True, False, True]])
    assert vector.dtype == np.float32
    assert vector.tolist() == [[-0.5, 0.5, 0.0], [0.5, -0.5, 0.5]]


@given(cases())
@fixed
def test_targets_never_contradict_each_other(case):
    names, labels, edits = case
    before = labels.copy()
    target = target_vector(labels, edits, names)
    assert np.array_equal(labels, before, equal_nan=True)
    assert target.shape == labels.shape
    assert target.dtype == np.float32
    edited = {edit.attribute: edit for edit in edits}
    cleared = set().union(*(EXCLUSIVE.get(edit.attribute, set()) for edit in edits if edit.value)) - set(
        edited
    )
    source = label_vector(labels)
    for index, name in enumerate(names):
        column = target[:, index]
        if name in edited:
            sign = 1 if edited[name].value else -1
            assert (column == np.float32(sign * edited[name].intensity)).all()
        elif name in cleared:
            assert (column == -0.5).all()
        else:
            assert (column == source[:, index]).all()


def test_face_has_an_edit_already_only_if_all_labels_are_known():
    names = ("Eyeglasses", "Young")
    edits = parse_edits(["Eyeglasses=1", "Young=0"], names=names)
    labels = np.array([[1, 0], [1, 1], [np.nan, 0]], np.float32)
    assert have_already(labels, edits, names).tolist() == [True, False, False]


def test_unedited_vector_has_the_opposite_of_the_edit():
    names = ("Eyeglasses", "Young", "Male")
    edits = parse_edits(["Eyeglasses=1@2"], names=names)
    labels = np.array([[1, 0, np.nan], [np.nan, 1, 1]], np.float32)
    expected = LABEL_SCALE * np.array([[-1, -1, 0], [-1, 1, 1]])
    np.testing.assert_allclose(unedited_vector(labels, edits, names), expected)
    assert np.isnan(labels[1, 0]), "the argument is not written to"
