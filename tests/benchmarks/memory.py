"""How large the workers of the connected Ray cluster become while a flow runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from flows.runtime.cluster.connection import connect_ray

_EVERY_SECONDS = 0.25


@dataclass
class Peak:
    """The largest resident size seen, in MB; None while none of the workers has been seen."""

    mb: float | None = None


@contextlib.contextmanager
def workers_peak(task: str) -> Iterator[Peak]:
    """Sample the workers on this machine that run a task of this name, as long as the context is open.

    A Ray worker's process bears the name of its task while it runs, and is a child of its node's raylet.
    """
    connect_ray()
    raylets = _raylets()
    peak, over = Peak(), threading.Event()

    def look(title: str) -> None:
        for raylet in raylets:
            for process in raylet.children():
                with contextlib.suppress(psutil.Error):
                    if " ".join(process.cmdline()).startswith(f"ray::{title}"):
                        peak.mb = max(peak.mb or 0.0, process.memory_info().rss / 2**20)

    def sample() -> None:
        while not over.wait(_EVERY_SECONDS):
            look(task)
        # Shorter than the interval: what the workers still hold afterwards.
        if peak.mb is None:
            look("IDLE")

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _raylets() -> list[psutil.Process]:
    import ray

    sockets = {f"--raylet_socket_name={node['RayletSocketName']}" for node in ray.nodes() if node["Alive"]}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if not sockets.isdisjoint(process.cmdline()):
                found.append(process)
    return found
