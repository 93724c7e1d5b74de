"""How a training is asked to stop before its end: it ends its step, writes a checkpoint, and goes on another time.

Two commands may have the same destination. So each has an id, which goes with the task to its worker: the worker says
in the run's folder whose it is, and obeys nobody else.
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
OPENING = "opening"  # what progress.json says while the data are decoded
_LOOKS_EVERY = 2.0  # seconds
_LAST_LOOK = 5.0  # seconds that one under way may still take in the end
_UNREADABLE = (OSError, StorageError, UserError)  # a storage that is gone ends the run at its next checkpoint


def new_command() -> str:
    """The id of one command, unlike any other's."""
    return secrets.token_hex(8)


def request_stop(store: Store, command: str) -> None:
    """Ask the worker that trains for this command in this run's folder to stop."""
    store.put(MARKER, command.encode())


def works_for(store: Store, command: str) -> bool:
    """Whether it is this command's worker that writes into the run's folder."""
    try:
        said = json.loads(store.get(WORKER).data)
    except (*_UNREADABLE, ValueError):
        return False
    return isinstance(said, dict) and said.get("command") == command


@contextlib.contextmanager
def stop_requests(
    store: Store, command: str | None = None, also: Callable[[], bool] | None = None
) -> Iterator[Callable[[], bool]]:
    """A function that tells whether to stop: because of a SIGTERM, or of the marker. It never waits for the storage.

    A SIGTERM takes its usual effect at the end of this context: after the checkpoint, not in the middle of a step.

    Args:
        store: the run's folder.
        command: the id of the command that this process works for: from now on the folder says so, and a marker with
            this id is found within two seconds or so. Without one no marker is looked for.
        also: the caller's own reason to stop, asked each time.

    Raises:
        StorageError: the folder cannot be told whose worker this is.
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
        with contextlib.suppress(*_UNREADABLE):
            if store.get(MARKER).data == command.encode():
                found.set()
                return


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
