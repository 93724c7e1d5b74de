"""Which rows train and which are held out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attgan.data.loading.split import split_rows
from attgan.errors import UserError
from tests.support.refusals import refused


def nowhere(count: int) -> np.ndarray:
    return np.full(count, -1, dtype=np.int8)


def test_the_valid_partition_is_held_out_and_the_test_partition_left_alone() -> None:
    partition = np.array([0, 1, 2, -1, 0, 1], dtype=np.int8)
    for share in (0, 0.5):
        split = split_rows(partition, None, share, seed=0)
        assert split.training.tolist() == [0, 3, 4]
        assert split.held_out.tolist() == [1, 5]
        assert split.test.tolist() == [2]


@given(st.integers(2, 300), st.floats(0, 0.9), st.integers(0, 2**63))
def test_without_one_a_share_is_drawn(count: int, share: float, seed: int) -> None:
    wanted = max(1, round(share * count)) if share else 0
    if wanted == count:
        with refused("training-rows-missing"):
            split_rows(nowhere(count), None, share, seed)
        return
    split = split_rows(nowhere(count), None, share, seed)
    assert len(split.held_out) == wanted
    assert sorted([*split.training.tolist(), *split.held_out.tolist()]) == list(range(count))


@given(st.lists(st.integers(0, 40), min_size=2, max_size=200), st.floats(0.01, 0.6), st.integers(0, 99))
def test_nobody_is_on_both_sides(people: list[int], share: float, seed: int) -> None:
    identity = np.array(people, dtype=np.int32)
    wanted, largest = max(1, round(share * len(people))), max(people.count(one) for one in people)
    try:
        split = split_rows(nowhere(len(people)), identity, share, seed)
    except UserError:
        # Only people with so many pictures that nobody else is left.
        assert len(people) < wanted + largest
        return
    assert not set(identity[split.training]) & set(identity[split.held_out])
    assert wanted <= len(split.held_out) < wanted + largest


def test_the_draw_is_the_seeds() -> None:
    def held(seed: int) -> list[int]:
        return split_rows(nowhere(100), None, 0.1, seed).held_out.tolist()

    assert held(0) == held(0) != held(1)


def test_no_training_rows_are_refused() -> None:
    with refused("training-rows-missing", "3", "2", "1"):
        split_rows(np.array([2, 1, 2], dtype=np.int8), None, 0, 0)
    with refused("training-rows-missing"):
        split_rows(nowhere(1), None, 0.05, 0)
    with refused("training-rows-missing"):
        # They are all the same person.
        split_rows(nowhere(9), np.zeros(9, dtype=np.int32), 0.05, 0)
    with refused("training-rows-missing"):
        split_rows(nowhere(0), None, 0.05, 0)
