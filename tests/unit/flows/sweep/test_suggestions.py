import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.sweep.space import parse_space
from flows.sweep.suggestions import Suggestions

AXES = parse_space(["learning_rate=log:1e-5:1e-2", "freeze_d=int:0:5", "clip_gradients=none,1"])
BUDGET = 9


def worth(changes: dict[str, Any]) -> float | None:
    """Best at 1e-3; nothing comes of the highest rates."""
    rate = changes["learning_rate"]
    return None if rate > 5e-3 else -abs(math.log10(rate) + 3) - changes["freeze_d"] / 10


def search(count: int, before: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """All that was suggested by the time there are ``count`` trials, of which those ``before`` are known."""
    suggestions, tried = Suggestions(AXES, "max", seed, BUDGET), list(before)
    for number, changes in enumerate(before):
        suggestions.remember(number, changes)
        suggestions.tell(number, worth(changes))
    for number in range(len(before), count):
        changes = suggestions.next(number)
        assert changes is not None
        tried.append(changes)
        suggestions.tell(number, worth(changes))
    return tried


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), known=st.integers(0, BUDGET))
def test_a_search_that_is_taken_up_suggests_what_it_would_have_suggested(seed: int, known: int) -> None:
    whole = search(BUDGET, [], seed)
    assert search(BUDGET, whole[:known], seed) == whole


def test_what_came_of_the_first_trials_guides_the_later_ones() -> None:
    first, last = [], []
    for seed in range(6):
        tried = search(30, [], seed)
        assert len({str(changes) for changes in tried}) == len(tried)
        values = [-3.0 if (value := worth(changes)) is None else value for changes in tried]
        first += values[:9]
        last += values[-9:]
    assert sum(last) / len(last) > sum(first) / len(first) + 0.3  # drawn at random, both are about -1.3


def test_a_space_that_is_exhausted_suggests_nothing_more() -> None:
    suggestions = Suggestions(parse_space(["freeze_d=0,1,2"]), "min", 0, 10)
    suggested = []
    while (changes := suggestions.next(len(suggested))) is not None:
        suggested.append(changes["freeze_d"])
        suggestions.tell(len(suggested) - 1, float(len(suggested)))
    assert sorted(suggested) == [0, 1, 2]
