"""Reports of tasks to their flow while they are at work, a few seconds old.

They are only shown. So everything that goes wrong here is ignored, and nothing waits for it. They go through the
key-value store of the cluster's head: an actor would be one more process with all its imports, and could keep a node
of an autoscaler alive.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from flows.runtime import internals

# Seconds between two reports of a task, and between two looks at all of them.
_BETWEEN = 1.5

Report = dict[str, Any]
"""What can be written as JSON."""


@contextlib.contextmanager
def reporting(key: str, report: Callable[[], Report]) -> Iterator[None]:
    """Report under a key every 1.5 seconds, while the block runs, if there is anything new.

    In a process that is not connected to a Ray cluster it does nothing.

    Args:
        key: of this task; the flow reads all keys with a common prefix.
        report: makes the report. It is called in a thread.
    """
    last = b""

    def send() -> None:
        nonlocal last
        value = json.dumps(report()).encode()
        if value != last:
            internals.put_value(key, value)
            last = value

    # A process that works for Ray has imported it.
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        yield
        return
    with _repeated(send, lambda: internals.remove_values(key)):
        yield


@contextlib.contextmanager
def reports_below(prefix: str) -> Iterator[Callable[[], dict[str, Report]]]:
    """A function that returns the latest report of each key with this prefix, without the prefix. It never waits.

    Reports that an earlier flow has left there are removed first.
    """
    latest: dict[str, Report] = {}
    cleared = False

    def look() -> None:
        nonlocal latest, cleared
        if not cleared:
            internals.remove_values(prefix)
            cleared = True
        found = internals.values_below(prefix)
        latest = {key.removeprefix(prefix): json.loads(value) for key, value in found.items()}

    with _repeated(look, lambda: internals.remove_values(prefix)):
        yield lambda: latest


@contextlib.contextmanager
def _repeated(work: Callable[[], None], at_end: Callable[[], None]) -> Iterator[None]:
    """Call ``work`` in a thread again and again while the block runs, and then ``at_end``; errors are ignored."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.is_set():
            with contextlib.suppress(Exception):
                work()
            ended.wait(_BETWEEN)
        with contextlib.suppress(Exception):
            at_end()

    thread = threading.Thread(target=loop, name="live-reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # A head that does not answer is not waited for.
        thread.join(_BETWEEN)
