"""The caps that a user can set on a run: images per second, and a time after which no further shard starts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

from flows.settings import EditSettings, seconds_of


class Caps:
    """The caps of one command. Nothing waits in a worker: only the submission of shards is spaced or ends.

    Attributes:
        reached: the cap that ended the run with shards left, as an option; None without one.
    """

    def __init__(
        self, settings: EditSettings, started: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the settings; ``started`` is when the command began, by the clock."""
        self._rate, self._deadline, self._clock = settings.max_rate, settings.deadline, clock
        self.reached: str | None = None
        self._ends = math.inf if settings.deadline is None else started + seconds_of(settings.deadline)

    def spaced(self, images: Mapping[int, int]) -> Iterator[int | None]:
        """Yield the shards that may be submitted; None while the next one has to wait. Ends at the deadline.

        A shard waits until its images would have taken their time at the rate. So a run never gets ahead of the rate,
        and a pause in it is not caught up on. Within a shard, images are edited at full speed.

        Args:
            images: how many images of each shard are to be edited, by its number.
        """
        next_at = self._clock()
        for shard, count in images.items():
            if self._rate is not None:
                next_at = max(next_at, self._clock()) + count / self._rate
            while self._clock() < min(next_at, self._ends):
                yield None
            if self._clock() >= self._ends:
                self.reached = f"--deadline {self._deadline}"
                return
            yield shard
