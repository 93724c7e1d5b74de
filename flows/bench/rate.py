"""Measures how many images a function processes in a second."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple


class Rate(NamedTuple):
    """The number of images, the seconds that they took, and the CPU seconds of the process."""

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
    """Call ``work`` repeatedly, in several threads.

    Args:
        work: returns the number of images that it has processed. Each thread calls it once before the measurement.
        seconds: how long to measure. Calls that are running at the end are completed and counted.
        threads: how many threads.
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
    """Images per second of workers that ran at the same time."""
    return sum(rate.per_second for rate in rates)


def _nothing() -> None:
    pass


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
