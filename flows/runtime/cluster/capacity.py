"""What the connected Ray cluster can run now, what it could run once it has grown, and the wait for that."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attgan.errors import UserError
from flows.runtime.cancelling import ended_by_cancelling
from flows.runtime.cluster import nodes
from flows.runtime.cluster.autoscaler import HEAD, Autoscaler, Size, autoscaler_of
from flows.settings import seconds_of
from flows.words import counted

if TYPE_CHECKING:
    from flows.runtime.cancelling import Log

# Seconds between two looks at the nodes.
_INTERVAL = 2.0
# Seconds between two lines about a wait.
_SAY_EVERY = 10.0


@dataclass(frozen=True)
class Resources:
    """The total resources of a Ray cluster."""

    nodes: int
    cpus: float
    gpus: float


def resources() -> Resources:
    """The resources that the cluster has now."""
    sizes = [size for size, _ in _nodes()]
    return Resources(len(sizes), sum(size.cpus for size in sizes), sum(size.gpus for size in sizes))


def tasks_now(cpus: float, gpus: float) -> int:
    """How many tasks that ask for so much the cluster runs at a time, with the nodes that it has now."""
    return sum(size.tasks(Size(cpus, gpus)) for size, _ in _nodes())


def tasks_at_most(cpus: float, gpus: float) -> int:
    """How many such tasks it would run at a time with all nodes that the autoscaler may still add, if it is known."""
    scaler = _autoscaler()
    more = scaler.more_tasks(_workers(), Size(cpus, gpus)) if scaler else 0
    return tasks_now(cpus, gpus) + more


def largest_node(gpus: float) -> float:
    """The number of CPUs of the largest node with these GPUs that the cluster has or may add; 1 if there is none."""
    scaler = _autoscaler()
    sizes = [size for size, _ in _nodes()] + [kind.size for kind in (scaler.types if scaler else ())]
    return max((size.cpus for size in sizes if size.gpus >= gpus and size.cpus >= 1), default=1.0)


def require_possible(cpus: float, gpus: float) -> None:
    """Refuse a task that no node can run, unless the autoscaler may add a node that can.

    Raises:
        UserError: there is no autoscaler, it has no such type of node, or it has reached its limit.
    """
    if not tasks_now(cpus, gpus):
        refuse_impossible(Size(cpus, gpus), resources(), _workers(), _autoscaler())


def require(cpus: float, gpus: float, node_timeout: str, log: Log) -> None:
    """Return once the cluster has a node that can run such a task, and every node has been checked.

    If no node can, the autoscaler is asked for one. The request ends with this call, however it ends, and with this
    process.

    Args:
        cpus: that the task asks for.
        gpus: that it asks for.
        node_timeout: the longest duration to wait for the autoscaler's node, such as ``10m``.
        log: shows every ten seconds what is waited for.

    Raises:
        UserError: no node can run it and the autoscaler adds none in time, or cannot add one; or a node that has joined
            is unfit for our tasks (:func:`flows.runtime.cluster.nodes.check_nodes`).
        RunCancelled: the flow run was cancelled on the server.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    if tasks_now(cpus, gpus):
        return
    require_possible(cpus, gpus)
    wait = _Wait(Size(cpus, gpus), node_timeout, log)
    # A placement group is a request that Ray forgets with this process. One of ray.autoscaler.sdk would stay for ever.
    asked = placement_group([{"CPU": cpus, **({"GPU": gpus} if gpus else {})}])
    try:
        with ended_by_cancelling(log) as check:
            while wait.goes_on():
                check()
                time.sleep(_INTERVAL)
    finally:
        remove_placement_group(asked)
    nodes.check_nodes()


def refuse_impossible(task: Size, total: Resources, workers: list[Size], scaler: Autoscaler | None) -> None:
    """Raise the refusal of a task that no node runs, unless the autoscaler may add a node that does."""
    if scaler is None:
        raise UserError(
            "cluster-too-small",
            f"a task asks for {task}, which no node has: the cluster has {counted(total.cpus, 'CPU')} and "
            f"{counted(total.gpus, 'GPU')} on {counted(total.nodes, 'node')}, and no autoscaler",
        )
    if not scaler.is_known or scaler.more_tasks(workers, task):
        return
    asks = f"a task asks for {task}, which no node has"
    if not any(kind.size.tasks(task) for kind in scaler.types):
        types = ", ".join(f"{kind.name} ({kind.size})" for kind in scaler.types)
        raise UserError(
            "node-type-missing", f"{asks}, nor any node type that the autoscaler may add: {types}"
        )
    limits = ", ".join(f"{kind.most} {kind.name}" for kind in scaler.types)
    raise UserError(
        "autoscaler-at-limit",
        f"{asks}, and the autoscaler may not add one: it has {len(workers)} of at most {scaler.most} worker nodes "
        f"({limits})",
    )


def watch(cpus: float, gpus: float, node_timeout: str, log: Log) -> Callable[[], int]:
    """A function that returns :func:`tasks_at_most` of the cluster as it is now. It looks every two seconds.

    While no node can run such a task, because all have been taken away, it logs what is waited for. After
    ``node_timeout`` of that it raises :class:`UserError`.
    """
    wait = _Wait(Size(cpus, gpus), node_timeout, log)
    looked, found = 0.0, 1

    def look() -> int:
        nonlocal looked, found
        if time.monotonic() - looked >= _INTERVAL:
            wait.goes_on()
            found, looked = tasks_at_most(cpus, gpus), time.monotonic()
        return found

    return look


class _Wait:
    """The wait for a node that can run a task."""

    def __init__(self, task: Size, timeout: str, log: Log) -> None:
        self._task, self._timeout, self._log = task, timeout, log
        self._since: float | None = None
        self._said = 0.0

    def goes_on(self) -> bool:
        """Whether no node can run the task yet. Says so every ten seconds, and raises when it has lasted too long."""
        now = time.monotonic()
        if tasks_now(self._task.cpus, self._task.gpus):
            if self._since is not None:
                self._log.info("a node with %s has joined after %.0f s", self._task, now - self._since)
            self._since = None
            return False
        if self._since is None:
            self._since, self._said = now, now - _SAY_EVERY
        waited = now - self._since
        if waited > seconds_of(self._timeout):
            raise UserError(
                "node-timeout",
                f"no node with {self._task} within --node-timeout {self._timeout}: {self._hope()}; "
                "`ray status` on the head shows what the autoscaler does",
            )
        if now - self._said >= _SAY_EVERY:
            self._said = now
            self._log.info("waiting for a node with %s: %s; %.0f s", self._task, self._hope(), waited)
        return True

    def _hope(self) -> str:
        scaler = _autoscaler()
        if scaler is None:
            return "the cluster has no autoscaler"
        if not scaler.is_known:
            return "the autoscaler's limits cannot be read"
        addable = scaler.addable(_workers())
        fitting = [f"{count} {kind.name}" for kind, count in addable.items() if kind.size.tasks(self._task)]
        return f"the autoscaler may add up to {' or '.join(fitting)}"


def _autoscaler() -> Autoscaler | None:
    import ray

    address = ray.get_runtime_context().gcs_address
    # The local stack has one node, and never another.
    return None if nodes.is_local_stack() else autoscaler_of(address)


def _nodes() -> list[tuple[Size, bool]]:
    """The size of each living node, and whether it is the head."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(Size(node.get("CPU", 0.0), node.get("GPU", 0.0)), HEAD in node) for node in found]


def _workers() -> list[Size]:
    return [size for size, is_head in _nodes() if not is_head]
