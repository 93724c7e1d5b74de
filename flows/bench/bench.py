"""Measures the ceiling of each stage, on all workers at once, and then the edit flow.

The ceiling of a stage is the highest rate that it reaches when it runs alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from prefect.logging import get_logger

from attgan.errors import UserError
from flows.bench import ceilings
from flows.bench.ceilings import DIFFERENT, STAGES, Work
from flows.bench.faces import clear, fill
from flows.bench.rate import total
from flows.bench.together import Ceiling, serves_here
from flows.edit.flow import edit
from flows.edit.job import model_of
from flows.edit.ledger import finished_shards, read_summaries
from flows.edit.plan.listing import NotPlanned, list_images
from flows.edit.shard.model import warm_up
from flows.runtime.cluster import capacity, connection, nodes
from flows.runtime.running import run_from_terminal
from flows.runtime.terminal import print_line
from flows.settings import BenchSettings, EditSettings, seconds_of
from flows.storage import bundles, join, open_store

BUCKET = "s3://attgan-bench"
"""The default destination. The bucket stays, but is empty at the end."""


class Load(NamedTuple):
    """The load of this machine.

    Attributes:
        processes: the mean number of runnable processes over the last minute.
        cores: of this machine.
    """

    processes: float
    cores: int


@dataclass(frozen=True)
class Reached:
    """The measured edit flow.

    Attributes:
        images: edited or copied.
        whole: seconds of the whole flow: planning, shards, report, and Prefect's part before and after.
        shards: seconds that the shards would have taken if all workers were always busy.
        busy: seconds per stage, summed over the workers.
        peak_mb: the memory of the largest worker.
        report: of the flow.
    """

    images: int
    whole: float
    shards: float
    busy: dict[str, float]
    peak_mb: int
    report: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The result of a bench.

    Attributes:
        cluster: its nodes, CPUs and GPUs.
        load: of this machine before the measurements.
        workers: how many ran at the same time.
        start: seconds until all of them had started and loaded the bundle.
        ceilings: of each stage.
        reached: the edit flow.
    """

    cluster: capacity.Resources
    load: Load
    workers: int
    start: float
    ceilings: list[Ceiling]
    reached: Reached


def run_bench(settings: BenchSettings) -> Result:
    """Measure each stage alone on all workers at once, then the edit flow.

    Everything is written below a new prefix at the destination, and deleted at the end, also after an error.

    Raises:
        UserError: there is no server, cluster, bundle or image, or a place cannot be used.
        StorageError: the storage failed after its retries.
    """
    load = Load(os.getloadavg()[0], os.cpu_count() or 1)
    connection.require_prefect()
    connection.connect_ray()
    asked = settings.cpus_per_shard, settings.gpus_per_shard
    capacity.require(*asked, settings.node_timeout, get_logger("bench"))
    parallel = capacity.tasks_now(*asked)
    digest = bundles.inspect(settings.bundle).digest
    destination = _place(settings)
    nodes.require_reachable({"--source": settings.source, "--bundle": settings.bundle}, destination)
    with _scratch(destination) as scratch:
        wanted, keys = _images(settings, scratch)
        work = Work(
            wanted, digest, tuple(keys[:DIFFERENT]), join(scratch, "put"), seconds_of(settings.stage_time)
        )
        begun = time.monotonic()
        _on_all(wanted, parallel, prepare, work)
        start = time.monotonic() - begun
        print_line(f"{parallel} workers have the bundle after {start:.1f} s")
        measured = _ceilings(work, parallel)
        reached = _edit(wanted, parallel)
    return Result(capacity.resources(), load, parallel, start, measured, reached)


def _place(settings: BenchSettings) -> str:
    """The URL to write to, after a check that it can be written to."""
    store = open_store(settings.destination or BUCKET, option="--destination")
    if settings.destination is None:
        store.make_bucket()
    store.check(write=True)
    return store.url


@contextlib.contextmanager
def _scratch(destination: str) -> Iterator[str]:
    """The URL of a new prefix below the destination, which is deleted at the end."""
    url = join(destination, f"bench-{secrets.token_hex(4)}")
    try:
        yield url
    finally:
        print_line(f"{clear(open_store(url, option='--destination')):,} objects deleted below {url}")


def _images(settings: BenchSettings, scratch: str) -> tuple[EditSettings, list[str]]:
    """The settings of the edit, and the keys of its images. Without a source, faces are drawn and written first.

    Raises:
        UserError: the source has no images.
    """
    wanted = EditSettings(
        source=settings.source or join(scratch, "in"),
        destination=join(scratch, "edited"),
        bundle=settings.bundle,
        max_images=settings.images,
        faces="aligned",
        # So that every image passes through all stages.
        on_present="edit",
        max_failed_share=1,
        **settings.model_dump(
            include={"paste", "shard_size", "batch_size", "cpus_per_shard", "gpus_per_shard", "node_timeout"}
        ),
    )
    if settings.source is None:
        print_line(f"{settings.images:,} drawn faces into {wanted.source}")
        return wanted, fill(open_store(wanted.source, option="--destination"), settings.images, settings.seed)
    keys = [
        info.key
        for info in islice(
            list_images(open_store(wanted.source), wanted.format, NotPlanned()), wanted.max_images
        )
        if not info.refused
    ]
    if not keys:
        raise UserError("source-empty", f"--source {settings.source}: has no images")
    return wanted, keys


def prepare(work: Work) -> None:
    """Warm up a worker, as if it had edited shards. Calling this function has also made it import the flow."""
    warm_up(model_of(work.settings, work.digest))
    assert work.files


def _ceilings(work: Work, parallel: int) -> list[Ceiling]:
    """The ceilings of the stages, measured one after the other on all workers."""
    measured = []
    on_cpus = not work.settings.gpus_per_shard
    on_cores = {"codec": True, "classifier": on_cpus, "generator": on_cpus}
    storage_here = serves_here(open_store(work.scratch))
    for stage in STAGES:
        rates = [rate for rate in _on_all(work.settings, parallel, ceilings.measure, stage, work) if rate]
        if rates:
            measured.append(Ceiling(stage, total(rates), on_cores.get(stage, storage_here)))
            print_line(f"{stage}: {total(rates):,.0f} images/s")
    return measured


def _on_all(settings: EditSettings, parallel: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Call a function in this many workers at once, each with the resources of a shard.

    Raises:
        UserError, StorageError: from a worker.
    """
    import ray

    asking = ray.remote(
        num_cpus=settings.cpus_per_shard, num_gpus=settings.gpus_per_shard, max_calls=0, max_retries=0
    )(function)
    try:
        answers: list[Any] = ray.get([asking.remote(*args) for _ in range(parallel)])
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    return answers


def _edit(settings: EditSettings, parallel: int) -> Reached:
    """Run the edit flow, as a user would."""
    begun = time.monotonic()
    report = run_from_terminal(edit, settings=settings)
    whole = time.monotonic() - begun
    store = open_store(report["url"])
    summaries = read_summaries(store, finished_shards(store).values())
    return Reached(
        images=report["counts"]["edited"] + report["counts"]["copied"],
        whole=whole,
        shards=sum(summary.wall for summary in summaries) / min(parallel, len(summaries)),
        busy=report["seconds"],
        peak_mb=report["peak_mb"],
        report=report,
    )
