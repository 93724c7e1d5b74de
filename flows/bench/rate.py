"""How often something can be done in a second."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple


class Rate(NamedTuple):
    """So many images in so many seconds, at the cost of so many CPU seconds of the process that did it."""

    images: float
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Images per second."""
        return self.images / self.seconds


def repeat(
    work: Callable[[], float], seconds: float, threads: int = 1, prepare: Callable[[], None] | None = None
) -> Rate:
    """Repeat ``work``, which returns how many images it did, in so many threads for so long.

    Args:
        work: called in every thread, once for a start and then until the time is over.
        seconds: how long; whoever is at work then ends what it has begun, which counts.
        threads: how many.
        prepare: called once in each thread.
    """

    def some(until: float) -> float:
        done = 0.0
        while time.perf_counter() < until:
            done += work()
        return done

    with ThreadPoolExecutor(threads, initializer=prepare or _nothing) as pool:
        list(pool.map(lambda _: work(), range(threads)))
        cpu, begun = _cpu_seconds(), time.perf_counter()
        images = sum(pool.map(some, [begun + seconds] * threads))
        return Rate(images, time.perf_counter() - begun, _cpu_seconds() - cpu)


def total(rates: Iterable[Rate]) -> float:
    """Images per second of several that were at work at the same time."""
    return sum(rate.per_second for rate in rates)


def _nothing() -> None:
    pass


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
