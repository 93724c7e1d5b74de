"""How long an edit would take on another cluster, what bounds it, and what it costs: arithmetic with measured rates.

Each part of a node has a rate of its own, from the seconds that it was busy with the images of a measured run. The
slowest part decides. To it come what a worker loses within its shards, what it loses between them, what the driver
spends for each shard, and what happens before the first shard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

# Measured (tests/benchmarks): keys that a driver lists and plans in a second, and the seconds of its time that a shard
# takes, from its submission to its end.
KEYS_PER_SECOND = 45_000.0
DRIVER_SECONDS = 0.01

DRIVER = "driver"
_ON_CPU = ("decode", "encode")
# On the GPU where a shard has one.
_MODEL = ("find", "edit")
_REQUESTS = ("fetch", "put")


class MeasuredRun(BaseModel):
    """What the arithmetic needs of a run's ``report.json``, or of the result that ``attgan bench --save`` writes.

    Attributes:
        inputs: images of the run.
        images_done_before: those of them that an earlier command had finished.
        shards, shards_done_before: likewise.
        bytes_in, bytes_out: of all images.
        seconds: that each stage was busy, summed over its threads and over all workers.
        worker_seconds: that all shards took together.
        wall: seconds of the whole command.
        shards_wall: seconds of them from the submission of the first shard to the end of the last one.
        workers: shards that were edited at a time.
        nodes: that they ran on.
        cpus_per_shard, gpus_per_shard: that each shard asked for.
    """

    model_config = ConfigDict(frozen=True)

    inputs: int = Field(gt=0)
    images_done_before: int
    shards: int = Field(gt=0)
    shards_done_before: int
    bytes_in: int
    bytes_out: int
    seconds: dict[str, float]
    worker_seconds: float = Field(gt=0)
    wall: float
    shards_wall: float = Field(gt=0)
    workers: int = Field(gt=0)
    nodes: int = Field(gt=0)
    cpus_per_shard: float
    gpus_per_shard: float

    @property
    def busy(self) -> Mapping[str, float]:
        """Seconds that each stage is busy with an image."""
        return {stage: seconds / self.inputs for stage, seconds in self.seconds.items()}

    @property
    def between_shards(self) -> float:
        """Seconds that a worker loses between two shards: for Prefect, for the driver, and at the end of the run."""
        share = 1 - self.images_done_before / self.inputs
        shards = self.shards - self.shards_done_before
        lost = self.shards_wall * min(self.workers, shards) - self.worker_seconds * share
        return max(0.0, lost / shards) if shards else 0.0


class Cluster(NamedTuple):
    """The nodes that are to edit: their number, and CPUs, GPUs and Gbit/s of each. ``gbit`` None is no limit."""

    nodes: int
    cpus: float
    gpus: float = 0.0
    gbit: float | None = None


class Threads(NamedTuple):
    """How many parts of a shard are edited on its GPU at a time, and fetched or put at a time."""

    on_gpu: int
    in_flight: int


class Estimate(NamedTuple):
    """The answer.

    Attributes:
        seconds: of the whole command, on a cluster whose nodes are there.
        bound: what the run waits for: a key of ``rates``.
        rates: images per second that each part alone would allow on the whole cluster.
    """

    seconds: float
    bound: str
    rates: dict[str, float]

    def cost(self, nodes: int, price: float) -> float:
        """The price of so many nodes for these seconds, each at a price per hour."""
        return nodes * price * self.seconds / 3600


def same_cluster(measured: MeasuredRun) -> Cluster:
    """What the run was measured on, as one node. Its network is not known."""
    shards = measured.workers
    return Cluster(1, shards * measured.cpus_per_shard, shards * measured.gpus_per_shard)


def tasks_per_node(measured: MeasuredRun, cluster: Cluster) -> int:
    """Shards that a node edits at a time. On a node with GPUs each has the measured share of one, and CPUs alike."""
    if measured.gpus_per_shard:
        return _round_down(cluster.gpus / measured.gpus_per_shard)
    return _round_down(cluster.cpus / measured.cpus_per_shard)


def node_rates(measured: MeasuredRun, cluster: Cluster, threads: Threads) -> dict[str, float]:
    """Images per second that each part of a node allows."""
    busy, tasks = measured.busy, tasks_per_node(measured, cluster)
    model = sum(busy.get(stage, 0.0) for stage in _MODEL)
    codec = sum(busy.get(stage, 0.0) for stage in _ON_CPU)
    requests = max(busy.get(stage, 0.0) for stage in _REQUESTS)
    bytes_moved = max(measured.bytes_in, measured.bytes_out) / measured.inputs
    on_gpu = measured.gpus_per_shard > 0
    parts = {
        "codec CPUs" if on_gpu else "CPUs": (cluster.cpus, codec if on_gpu else codec + model),
        "GPU": (tasks * threads.on_gpu if on_gpu else 0.0, model if on_gpu else 0.0),
        "storage": (tasks * threads.in_flight, requests),
        "network": (cluster.gbit or 0.0, 0.0 if cluster.gbit is None else bytes_moved * 8 / 1e9),
    }
    return {part: amount / seconds for part, (amount, seconds) in parts.items() if seconds > 0}


def estimate(
    measured: MeasuredRun, cluster: Cluster, images: int, shards: int, threads: Threads, most: int
) -> Estimate:
    """How long an edit of so many images takes, and what bounds it.

    Args:
        measured: a run of the same kind of images, with the same edit and on the same kind of CPUs and GPUs.
        cluster: that is to edit them. At least one shard must fit on a node.
        images: at least 1.
        shards: that they are planned in.
        threads: of a shard.
        most: shards that the driver submits at a time.
    """
    workers = min(cluster.nodes * tasks_per_node(measured, cluster), most)
    # What a worker reaches of the rate of its slowest part.
    own = _worker_rate(measured, same_cluster(measured), threads)
    reached = measured.inputs / measured.worker_seconds / own
    rate = _worker_rate(measured, cluster, threads) * reached
    shard_seconds = images / shards / rate + measured.between_shards
    on_workers = max(shards * shard_seconds / workers, shard_seconds)
    on_driver = shards * DRIVER_SECONDS
    planning = images / KEYS_PER_SECOND
    started = max(0.0, measured.wall - measured.shards_wall - measured.inputs / KEYS_PER_SECOND)
    rates = {part: cluster.nodes * rate for part, rate in node_rates(measured, cluster, threads).items()} | {
        DRIVER: images / on_driver
    }
    slowest = min(rates, key=lambda part: rates[part] if part != DRIVER else float("inf"))
    return Estimate(
        started + planning + max(on_workers, on_driver), DRIVER if on_driver > on_workers else slowest, rates
    )


def _round_down(number: float) -> int:
    """The whole number below, where 2.9999999 is 3."""
    return math.floor(number + 1e-6)


def _worker_rate(measured: MeasuredRun, cluster: Cluster, threads: Threads) -> float:
    return min(node_rates(measured, cluster, threads).values()) / tasks_per_node(measured, cluster)
