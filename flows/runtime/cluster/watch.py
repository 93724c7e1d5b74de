"""Checks that the Ray cluster which this process has joined is still the one at its address.

Ray ends a driver whose cluster does not answer for a minute. If the head is restarted within that minute, a new cluster
answers at the same address. The driver then repeats its requests to the new cluster for ever, thousands of times a
second, and the work that these requests start has no receiver. Observed with Ray 2.60: it took all CPUs of the cluster.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from flows.runtime.internals import cluster_id_at

# Seconds between two requests.
_INTERVAL = 5.0


class ClusterLost(Exception):
    """The cluster that the work was submitted to no longer exists. The message is one line for the user."""


@contextlib.contextmanager
def cluster_watch() -> Iterator[Callable[[], None]]:
    """A function that raises :class:`ClusterLost` once another cluster answers at the address. It never blocks."""
    import ray

    address = ray.get_runtime_context().gcs_address
    joined = cluster_id_at(address)
    others: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not others and not ended.wait(_INTERVAL):
            # No answer is no reason to stop: the cluster may come back, and otherwise Ray ends this process.
            with contextlib.suppress(Exception):
                found = cluster_id_at(address)
                if found != joined:
                    others.append(found)

    threading.Thread(target=watch, name="cluster-watch", daemon=True).start()

    def look() -> None:
        if others:
            raise ClusterLost(f"the Ray cluster at {address} was restarted; the same command resumes")

    try:
        yield look
    finally:
        ended.set()
