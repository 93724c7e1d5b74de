"""The order of rows: what is true of it whatever the numbers."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attgan.data.loading.order import Order, Step, permutation, random_keys


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Some of the rows of some parts; parts may be empty, or have no row of the stream."""
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any))
    part_of = np.repeat(np.arange(len(sizes)), sizes)
    chosen = draw(st.sets(st.sampled_from(range(len(part_of))), min_size=1))
    rows = np.array(sorted(chosen), dtype=np.int64)
    seed, name = draw(st.integers(0, 2**40)), draw(st.text(max_size=3))
    return Order(rows, part_of[rows], seed, name, draw(st.integers(1, 10)))


def first(order: Order, batch_size: int, count: int, start: int = 0) -> list[Step]:
    return list(itertools.islice(order.steps(batch_size, start), count))


@given(orders(), st.data())
def test_every_pass_has_every_row_once_less_what_fills_no_batch(order: Order, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(order.rows)))
    per_pass = len(order.rows) // size
    steps = first(order, size, 3 * per_pass)
    assert [step.number for step in steps] == list(range(3 * per_pass))
    for number in range(3):
        seen = np.concatenate([step.rows for step in steps[number * per_pass : (number + 1) * per_pass]])
        assert len(seen) == len(set(seen.tolist())) == per_pass * size
        assert set(seen.tolist()) <= set(order.rows.tolist())


@given(orders(), st.data())
def test_a_step_needs_few_parts_and_announces_the_next_ones(order: Order, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(order.rows)))
    part_of = dict(zip(order.rows.tolist(), order.parts.tolist(), strict=True))
    smallest = min(sum(order.parts == part) for part in np.unique(order.parts))
    # Windows that a batch can touch.
    crossed = 1 + -(-size // smallest)
    for step, following in itertools.pairwise(first(order, size, 25)):
        assert {part_of[row] for row in step.rows.tolist()} <= set(step.parts)
        assert len(step.parts) <= crossed * order.window
        assert len(step.ahead) <= order.window
        if crossed <= 2:
            assert set(following.parts) <= {*step.parts, *step.ahead}


def test_seeds_names_and_passes_have_orders_of_their_own() -> None:
    rows = np.arange(40)

    def of(seed: int, name: str, start: int = 0) -> bytes:
        return first(Order(rows, rows // 10, seed, name, 8), 40, 1, start)[0].rows.tobytes()

    assert len({of(0, "a"), of(1, "a"), of(0, "b"), of(0, "a", 1), of(0, "a", 2)}) == 5
    assert of(0, "a") == of(0, "a")


def test_the_random_numbers_are_those_of_every_version() -> None:
    """A run that is resumed with a newer version continues in the same order."""
    assert random_keys(2, 0, "train", "rows", 0, 0).tolist() == [10228029418577559079, 6912524942077425329]
    assert permutation(8, 0, "train", "rows", 0, 0).tolist() == [1, 2, 0, 6, 5, 4, 7, 3]
