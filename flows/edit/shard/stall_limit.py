"""A limit on time without progress: a stuck decoder or a dead mount never returns to Python."""

from __future__ import annotations

import contextlib
import faulthandler
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stall_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """End this process with exit code 1 after so much time, and print where its threads are to standard error.

    A thread in C watches the time, so it also ends native code that holds the interpreter's lock.

    Yields:
        A function that starts the time again.
    """
    started = float("-inf")

    def restart() -> None:
        nonlocal started
        # Each start makes a thread, so there is not one for each of many small steps.
        if time.monotonic() - started > seconds / 100:
            started = time.monotonic()
            # Standard error by its number, because Ray and tests put other objects in its place.
            faulthandler.dump_traceback_later(seconds, file=2, exit=True)

    restart()
    try:
        yield restart
    finally:
        faulthandler.cancel_dump_traceback_later()
