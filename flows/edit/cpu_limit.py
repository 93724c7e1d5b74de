"""Code that never returns, as a decoder's endless loop, is ended by the kernel: it need not let Python have a say."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """Have this process killed (SIGXCPU) when it has used so much more CPU time; afterwards it is as free as before.

    Yields:
        A function that lets it have as much again, from now on.
    """
    before, _ = resource.getrlimit(resource.RLIMIT_CPU)
    try:
        limit_cpu(seconds)
        yield lambda: limit_cpu(seconds)
    finally:
        _set(before)


def limit_cpu(seconds: float) -> None:
    """Have this process killed (SIGXCPU) when it has used so much more CPU time, all of its threads together."""
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
