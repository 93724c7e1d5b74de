"""How a training is stopped before its end: it finishes its step and writes a checkpoint, so that it can resume.

Two commands may have the same destination. So each command has a random id, which its worker receives and writes into
the run's folder. The worker obeys only stop requests with this id.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from attgan.errors import UserError
from flows.storage import StorageError, Store

MARKER = "stop"
WORKER = "worker.json"
# The state in progress.json while the data are decoded.
OPENING = "opening"
# Seconds between two looks for the marker.
_LOOKS_EVERY = 2.0
# Seconds that the last look may still take at the end.
_LAST_LOOK = 5.0
# Errors that are ignored here: if the storage fails for good, the next checkpoint ends the run.
_UNREADABLE = (OSError, StorageError, UserError)


def new_command() -> str:
    """A random id for a command."""
    return secrets.token_hex(8)


def request_stop(store: Store, command: str) -> None:
    """Ask the worker of this command to stop."""
    store.put(MARKER, command.encode())


def stop_requested(store: Store, command: str) -> bool:
    """Whether this command has asked its worker to stop. False if the storage does not answer."""
    with contextlib.suppress(*_UNREADABLE):
        return store.get(MARKER).data == command.encode()
    return False


def works_for(store: Store, command: str) -> bool:
    """Whether the worker that writes into the run's folder belongs to this command."""
    try:
        found = json.loads(store.get(WORKER).data)
    except (*_UNREADABLE, ValueError):
        return False
    return isinstance(found, dict) and found.get("command") == command


@contextlib.contextmanager
def stop_requests(
    store: Store, command: str | None = None, also: Callable[[], bool] | None = None
) -> Iterator[Callable[[], bool]]:
    """Provide a function that returns whether to stop: after a SIGTERM, or when the stop marker was found.

    The function never waits for the storage, because a thread looks for the marker. A SIGTERM takes its usual effect at
    the end of this context: after the checkpoint, and not in the middle of a step.

    Args:
        store: the run's folder.
        command: the id of the command that this process works for. It is written into the folder, and a marker with
            this id is found within about two seconds. Without an id, nothing looks for a marker.
        also: another reason to stop, asked each time.

    Raises:
        StorageError: the id cannot be written into the folder.
    """
    with deferred(signal.SIGTERM) as arrived:
        if command is None:
            yield lambda: bool(arrived) or (also is not None and also())
            return
        store.put(WORKER, json.dumps({"command": command}).encode())
        found, ended = threading.Event(), threading.Event()
        looking = threading.Thread(
            target=_look_for_marker, args=(store, command, found, ended), name="stop-marker", daemon=True
        )
        looking.start()
        try:
            yield lambda: found.is_set() or bool(arrived) or (also is not None and also())
        finally:
            ended.set()
            looking.join(_LAST_LOOK)


def _look_for_marker(store: Store, command: str, found: threading.Event, ended: threading.Event) -> None:
    while not ended.wait(_LOOKS_EVERY):
        if stop_requested(store, command):
            found.set()
            return


@contextlib.contextmanager
def deferred(*numbers: signal.Signals, unless: Callable[[], object] = lambda: False) -> Iterator[list[int]]:
    """Defer the usual effect of signals to the end of this context; until then they are in the list it provides.

    A second signal takes effect at once. Outside the main thread nothing is deferred, because Python only lets the main
    thread handle signals.

    Args:
        numbers: the signals.
        unless: asked at the end; the usual effect is left out if its result is true.
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
        if len(arrived) == 1 and not unless():
            os.kill(os.getpid(), arrived[0])
