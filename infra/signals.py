"""Turns signals that ask a process to end into an exception, or defers them for a while."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from infra.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interruptible() -> None:
    """Make SIGINT, SIGTERM and SIGHUP raise Interrupted in the main thread from now on.

    One that is ignored stays so: ``nohup`` has asked for it.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defer these signals until the block ends. Meant for steps of a few seconds that must not be left half done."""
    if threading.current_thread() is not threading.main_thread():
        # Python runs signal handlers in the main thread only.
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: received.append(number)) for number in ENDING
    }
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
        for number in received[:1]:
            signal.raise_signal(number)
