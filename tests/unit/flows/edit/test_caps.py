"""The caps of a run: images per second, and the deadline."""

from typing import Any

import pytest
from pydantic import ValidationError

from attgan.errors import CapReached
from flows.edit.caps import Caps
from flows.runtime.exits import CONTINUES_LATER, exit_code
from flows.runtime.running import STOPPED, refusals_as_states
from flows.settings import EditSettings, refusal_of, seconds_of


class Clock:
    """Goes on by a quarter of a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def submitted(clock: Clock, shards: int, **options: Any) -> list[tuple[int, float]]:
    """The shards of ten images that are submitted, and when after the start."""
    settings = EditSettings(source="in", destination="out", **options)
    spaced = Caps(settings, 1000.0, clock).spaced(dict.fromkeys(range(shards), 10))
    return [(shard, clock.now - 1000) for shard in spaced if shard is not None]


def test_a_run_is_never_ahead_of_its_rate() -> None:
    times = submitted(Clock(), 5, max_rate=4)
    assert [shard for shard, _ in times] == [0, 1, 2, 3, 4]
    assert all(10 * (shard + 1) <= 4 * time for shard, time in times)
    assert times[-1][1] < 20


def test_after_the_deadline_no_shard_is_submitted() -> None:
    assert [shard for shard, _ in submitted(Clock(), 99, max_rate=4, deadline="10s")] == [0, 1, 2]
    assert submitted(Clock(), 3, deadline="0s") == []
    assert [shard for shard, _ in submitted(Clock(), 3)] == [0, 1, 2]


@pytest.mark.parametrize(("given", "meant"), [("90s", 90), ("45m", 2700), ("6h", 21600), ("2d", 172800)])
def test_a_duration_is_a_number_and_its_unit(given: str, meant: int) -> None:
    deadline = EditSettings(source="in", destination="out", deadline=given).deadline
    assert deadline is not None
    assert seconds_of(deadline) == meant


@pytest.mark.parametrize("wrong", ["6", "06:00", "1.5h", "-1h", "h"])
def test_another_form_of_duration_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EditSettings(source="in", destination="out", deadline=wrong)
    assert refusal_of(caught.value).code == "setting-invalid"


def test_a_run_that_a_cap_ends_is_neither_done_nor_failed() -> None:
    reached = CapReached("deadline-reached", "--deadline 6h: 3 of 5 images are done")

    def body() -> None:
        raise reached

    state: Any = refusals_as_states(body)()
    assert (state.name, state.is_cancelled()) == (STOPPED, True)
    assert exit_code(reached) == CONTINUES_LATER
