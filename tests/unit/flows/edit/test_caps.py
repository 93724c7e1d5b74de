"""The caps of a run: images per second, and the deadline."""

from typing import Any

from attgan.errors import CapReached
from flows.edit.caps import Caps
from flows.runtime.exits import CONTINUES_LATER, exit_code
from flows.runtime.running import STOPPED, refusals_as_states
from flows.settings import EditSettings


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


def test_a_run_that_a_cap_ends_is_neither_done_nor_failed() -> None:
    reached = CapReached("deadline-reached", "--deadline 6h: 3 of 5 images are done")

    def body() -> None:
        raise reached

    state: Any = refusals_as_states(body)()
    assert (state.name, state.is_cancelled()) == (STOPPED, True)
    assert exit_code(reached) == CONTINUES_LATER
