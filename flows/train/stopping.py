"""How a training is asked to stop before its end: it ends its step, writes a checkpoint, and goes on another time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from flows.storage import StorageError, Store

MARKER = "stop"
_SECONDS_BETWEEN = 1.0


def request_stop(store: Store) -> None:
    """Ask whoever trains in this run's folder to stop."""
    store.put(MARKER, b"")


def clear_request(store: Store) -> None:
    """Forget a request that an earlier command has left."""
    store.delete(MARKER)


@contextlib.contextmanager
def stop_requests(store: Store) -> Iterator[Callable[[], bool]]:
    """A function that tells whether to stop: because of the marker, looked for once a second, or a SIGTERM.

    A SIGTERM takes its usual effect at the end of this context: after the checkpoint, not in the middle of a step.
    """
    looked, found = time.monotonic(), False
    with deferred(signal.SIGTERM) as arrived:

        def stop() -> bool:
            nonlocal looked, found
            if not found and time.monotonic() - looked >= _SECONDS_BETWEEN:
                found, looked = _is_there(store), time.monotonic()
            return found or bool(arrived)

        yield stop


@contextlib.contextmanager
def deferred(*numbers: signal.Signals) -> Iterator[list[int]]:
    """Signals that take their usual effect at the end of this context; until then they are in the list it gives.

    A second one takes effect at once. In a thread that Python does not let handle signals nothing is deferred.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) > 1:
            restore()
            os.kill(os.getpid(), number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield arrived
    finally:
        restore()
        if len(arrived) == 1:
            os.kill(os.getpid(), arrived[0])


def _is_there(store: Store) -> bool:
    try:
        store.head(MARKER)
    except (FileNotFoundError, StorageError):  # a storage that is gone ends the run at its next checkpoint
        return False
    return True
