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
    terminated = threading.Event()
    looked, found = time.monotonic(), False

    def stop() -> bool:
        nonlocal looked, found
        if not found and time.monotonic() - looked >= _SECONDS_BETWEEN:
            found, looked = _is_there(store), time.monotonic()
        return found or terminated.is_set()

    with _deferring(signal.SIGTERM, terminated):
        yield stop


@contextlib.contextmanager
def _deferring(number: signal.Signals, arrived: threading.Event) -> Iterator[None]:
    def note(number: int, frame: FrameType | None) -> None:
        arrived.set()

    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = signal.signal(number, note)
    try:
        yield
    finally:
        signal.signal(number, before)
        if arrived.is_set():
            os.kill(os.getpid(), number)


def _is_there(store: Store) -> bool:
    try:
        store.head(MARKER)
    except (FileNotFoundError, StorageError):  # a storage that is gone ends the run at its next checkpoint
        return False
    return True
