"""What the autoscaler of a Ray cluster may add.

Ray publishes which nodes its autoscaler starts, but nowhere how many it may start, and of which types. That stands in
the autoscaler's configuration, which a small task reads on the head, of clusters of these kinds:

- ``ray up`` and ``ray start --head --autoscaling-config``, on every cloud, with either version of the autoscaler;
- KubeRay, whose head may read its own RayCluster resource if ``enableInTreeAutoscaling`` is set.

A cluster of another kind counts as one that does not grow by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flows.runtime.internals import autoscaling_config
from flows.words import counted

# Every head has this resource, also one without CPUs.
HEAD = "node:__internal_head__"
# Ray counts in steps of a ten-thousandth.
_EXACT = 1e-6
# Seconds for the head to start a worker that reads the configuration.
_PATIENCE = 120.0


@dataclass(frozen=True)
class Size:
    """The CPUs and GPUs of a node, or those that a task asks for."""

    cpus: float
    gpus: float

    def tasks(self, task: Size) -> int:
        """How many such tasks a node of this size runs at a time. A task's share of a GPU is of one GPU."""
        by_cpu = int(self.cpus / task.cpus + _EXACT)
        if not task.gpus:
            return by_cpu
        if task.gpus > 1:
            return min(by_cpu, int(self.gpus / task.gpus + _EXACT))
        return min(by_cpu, int(self.gpus) * int(1 / task.gpus + _EXACT))

    def __str__(self) -> str:
        cpus = counted(self.cpus, "CPU")
        return f"{cpus} and {counted(self.gpus, 'GPU')}" if self.gpus else cpus


@dataclass(frozen=True)
class NodeType:
    """A type of node that the autoscaler starts.

    Attributes:
        most: the most nodes of this type.
    """

    name: str
    size: Size
    most: int


@dataclass(frozen=True)
class Autoscaler:
    """The limits of an autoscaler.

    Attributes:
        types: of its worker nodes.
        most: the most workers of all types together.
        is_known: whether the configuration could be read. Otherwise there is an autoscaler that may add anything.
    """

    types: tuple[NodeType, ...] = field(default=())
    most: int = 0
    is_known: bool = True

    def addable(self, workers: Iterable[Size]) -> dict[NodeType, int]:
        """How many nodes of each type it may still add to these workers. A worker counts for a type of its size."""
        workers = list(workers)
        unassigned, left = list(workers), {}
        for kind in self.types:
            running = min(unassigned.count(kind.size), kind.most)
            for _ in range(running):
                unassigned.remove(kind.size)
            left[kind] = min(kind.most - running, max(0, self.most - len(workers)))
        return left

    def more_tasks(self, workers: Iterable[Size], task: Size) -> int:
        """How many more such tasks would run at a time after it has added what it may."""
        workers = list(workers)
        room, more = self.most - len(workers), 0
        addable = self.addable(workers)
        for kind in sorted(addable, key=lambda kind: -kind.size.tasks(task)):
            count = min(addable[kind], max(0, room))
            more, room = more + count * kind.size.tasks(task), room - count
        return more


@functools.cache
def autoscaler_of(address: str) -> Autoscaler | None:
    """The autoscaler of the connected cluster, which has this address; None if it has none that is known.

    It is asked once for each process.
    """
    import ray

    asking = ray.remote(num_cpus=0, resources={HEAD: 0.001}, max_retries=0)(autoscaling_config)
    reference = asking.remote(int(address.rpartition(":")[2]))
    try:
        config = ray.get(reference, timeout=_PATIENCE)
    except ray.exceptions.RayError:
        # The head has no time, or is no more.
        config = {}
    return None if config is None else limits_of(config)


def limits_of(config: dict[str, Any]) -> Autoscaler | None:
    """The limits in an autoscaler's configuration, which is empty if it cannot be read. None if it adds no nodes."""
    if not config:
        return Autoscaler(is_known=False)
    types = []
    for name, kind in config["available_node_types"].items():
        most, resources = kind.get("max_workers", config["max_workers"]), kind.get("resources", {})
        if name != config["head_node_type"] and most:
            size = Size(float(resources.get("CPU", 0)), float(resources.get("GPU", 0)))
            types.append(NodeType(name, size, int(most)))
    return Autoscaler(tuple(types), int(config["max_workers"])) if types else None
