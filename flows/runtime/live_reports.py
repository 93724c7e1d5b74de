"""Reports of tasks to their flow while they are at work, a few seconds old.

They are only shown. So everything that goes wrong here is ignored, and nothing waits for it. They go through the
key-value store of the cluster's head: an actor would be one more process with all its imports, and could keep a node
of an autoscaler alive.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from flows.runtime import internals
from flows.runtime.repeating import repeated

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
    with _repeated(send, key):
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

    with _repeated(look, prefix):
        yield lambda: latest


def _repeated(work: Callable[[], None], prefix: str) -> AbstractContextManager[None]:
    """Repeat the work while a block runs, and remove all values below the prefix at its end."""
    # A head that does not answer is not waited for.
    return repeated(
        "live-reports", work, _BETWEEN, at_end=lambda: internals.remove_values(prefix), patience=_BETWEEN
    )
