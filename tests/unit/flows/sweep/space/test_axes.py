"""A space is what was written, its trials are those of the seed, and what cannot be searched is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.sweep.space.axes import (
    Axis,
    Choices,
    Range,
    check_value,
    draws,
    grid,
    grid_size,
    parse_space,
)
from tests.support.refusals import refused

FLOATS = ("lambda_reconstruction", "lambda_attributes", "learning_rate", "generator_warmup")
INTS = ("discriminator_steps", "width", "max_steps")
numbers = st.floats(1e-6, 1)


@st.composite
def axes(draw: st.DrawFn, *, finite: bool = False) -> tuple[Axis, ...]:
    """Up to four axes of different names."""
    names = draw(st.lists(st.sampled_from(FLOATS + INTS), min_size=1, max_size=4, unique=True))
    found: list[Axis] = []
    for name in names:
        values = numbers if name in FLOATS else st.integers(1, 100)
        ends = sorted(draw(st.lists(values, min_size=2, max_size=5, unique=True)))
        scale = "list" if finite else draw(st.sampled_from(["list", "range"]))
        if scale == "list":
            found.append(Choices(name, tuple(ends)))
        else:
            kind = draw(st.sampled_from(["log", "uniform"])) if name in FLOATS else "int"
            found.append(Range(name, kind, ends[0], ends[-1]))
    return tuple(found)


@given(axes())
def test_a_space_reads_as_it_is_written(space: tuple[Axis, ...]) -> None:
    assert parse_space([axis.text for axis in space]) == space


@given(axes(), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_more_trials_are_those_of_fewer_and_others(
    space: tuple[Axis, ...], few: int, more: int, seed: int
) -> None:
    first, both = draws(space, few, seed), draws(space, few + more, seed)
    assert both[: len(first)] == first
    assert len({tuple(trial.values()) for trial in both}) == len(both)


@given(axes(), st.integers(0, 2**32 - 1))
def test_what_is_drawn_is_on_its_axis_and_a_training_takes_it(space: tuple[Axis, ...], seed: int) -> None:
    for trial in draws(space, 5, seed):
        for axis in space:
            value = trial[axis.name]
            if isinstance(axis, Choices):
                assert value in axis.values
            else:
                assert axis.low <= value <= axis.high
            assert check_value(axis.name, value, "--space") == value


@given(axes(finite=True))
def test_a_grid_has_every_combination_once(space: tuple[Axis, ...]) -> None:
    trials = [tuple(trial.values()) for trial in grid(space)]
    assert len(trials) == len(set(trials)) == grid_size(space)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lambda_reconstruction=1, 10,5e1", (1.0, 10.0, 50.0)),
        ("fresh_discriminator=true,false", (True, False)),
        ("clip_gradients=none,1", (None, 1.0)),
    ],
)
def test_values_are_those_of_the_setting(text: str, values: tuple[object, ...]) -> None:
    (axis,) = parse_space([text])
    assert isinstance(axis, Choices)
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "axis-malformed"),
        ("freeze_d=", "axis-empty"),
        ("freeze_d=1,,2", "setting-invalid"),
        ("freeze_d=0,9", "setting-invalid"),
        ("strategy=reverse", "setting-invalid"),
        ("lambda_penalty=inf", "value-not-finite"),
        ("lambda_penalty=1,1.0", "value-repeated"),
        ("freezed=1,2", "setting-unknown"),
        ("attribute=Male,Bald", "setting-not-searchable"),
        ("dataset=s3://bucket/only,s3://bucket/extended", "setting-not-searchable"),
        ("learning_rate=log:1e-3", "range-malformed"),
        ("learning_rate=log:1e-3:1e-4", "range-reversed"),
        ("learning_rate=log:a:b", "setting-invalid"),
        ("lambda_penalty=log:0:1", "range-not-positive"),
        ("freeze_d=uniform:0:4", "range-not-whole"),
        ("lambda_penalty=int:1:2.5", "value-not-whole"),
        ("max_steps=int:none:5", "range-end-missing"),
        ("strategy=uniform:0:1", "range-not-numeric"),
    ],
)
def test_what_cannot_be_searched_is_one_line(text: str, code: str) -> None:
    with refused(code) as caught:
        parse_space([text])
    assert caught.value.line.startswith(f"--space {text or repr(text)}: ")
    assert "\n" not in str(caught.value)


def test_an_axis_comes_once() -> None:
    with refused("axis-repeated"):
        parse_space(["freeze_d=1", "freeze_d=2"])
