"""Limits on CPU time that the kernel enforces: native code in an endless loop never returns to Python."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """Let the kernel kill this process (SIGXCPU) after so much more CPU time. The old limit returns at the end.

    Yields:
        A function that starts the count again.
    """
    before, _ = resource.getrlimit(resource.RLIMIT_CPU)
    try:
        limit_cpu(seconds)
        yield lambda: limit_cpu(seconds)
    finally:
        _set(before)


def limit_cpu(seconds: float) -> None:
    """Let the kernel kill this process (SIGXCPU) after so much more CPU time, counted over all its threads."""
    _set(int(cpu_seconds() + seconds) + 1)


def cpu_seconds() -> float:
    """CPU time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _set(soft: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard):
        soft = hard
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
