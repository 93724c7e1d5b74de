"""Whether the Ray cluster that this process has joined is still the one at its address.

Ray ends a driver whose cluster has been away for a minute. Where another one has been started at the same address by
then (the head was restarted), the driver goes on asking that one, thousands of times a second and for ever, and what it
has asked of it is carried out for nobody: seen with Ray 2.60, on a cluster whose CPUs were all taken from then on.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

_LOOKS_EVERY = 5.0  # seconds


class ClusterLost(Exception):
    """The work cannot end, because its cluster is no more; the message is the line to end with."""


@contextlib.contextmanager
def cluster_watch() -> Iterator[Callable[[], None]]:
    """A function that raises :class:`ClusterLost` once another cluster answers at the address; it never waits."""
    import ray

    address = ray.get_runtime_context().gcs_address
    joined = _cluster_at(address)
    others: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not others and not ended.wait(_LOOKS_EVERY):
            with contextlib.suppress(
                Exception
            ):  # nobody answers: it may come back, and else Ray ends this process
                found = _cluster_at(address)
                if found != joined:
                    others.append(found)

    threading.Thread(target=watch, name="cluster-watch", daemon=True).start()

    def look() -> None:
        if others:
            raise ClusterLost(f"the Ray cluster at {address} was restarted; the same command goes on")

    try:
        yield look
    finally:
        ended.set()


def _cluster_at(address: str) -> str:
    """The identifier of the cluster that answers at an address. A new client asks for it; an old one has the old one's.

    Raises:
        RpcError: nobody answers.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # its stubs lack it

    identifier: str = GcsClient(address=address).cluster_id.hex()
    return identifier
