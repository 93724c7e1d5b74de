"""An edit of 10,000,000 images on 1,000 workers, simulated: what the driver and the Prefect server have to do.

``python -m infra run --free-ports --without s3 --without ray -- python -m tests.benchmarks.simulation``

The driver is the edit flow as it is: its plan, window, retries, report, and its calls to a real Prefect server. So is
what a worker does, but for the images (:mod:`tests.benchmarks.virtual_worker`). Ray is replaced by a cluster with a
virtual clock (:mod:`tests.benchmarks.virtual_cluster`). The source's listing comes from a server that makes it up; the
run's folder is on a disk.

What the figures leave out: the time that Ray itself takes in the driver, and the time that the driver waits for answers
of the storage and of the Prefect server. The watch for a cancellation, the reports of crashed tasks and the lease go by
the real clock. All workers share one connection to the Prefect server, and so their lines of log share requests.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from unittest import mock

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from flows.edit.flow import edit
from flows.runtime.cancelling import RunCancelled
from flows.runtime.cluster import tasks
from flows.runtime.running import run_from_terminal
from flows.runtime.terminal import print_mapping
from flows.settings import EditSettings, InitSettings
from flows.training.weights import init
from tests.benchmarks import many_keys
from tests.benchmarks.api_calls import ApiCalls, counted_calls
from tests.benchmarks.virtual_cluster import Conditions, VirtualCluster
from tests.benchmarks.virtual_worker import REPORTED, worker_process

# The server stores what it has received every five seconds.
_STORED_SECONDS, _STORED_WITHIN = 5.0, 600.0


@dataclass(frozen=True)
class Simulated:
    """What a simulation has found.

    Attributes:
        cluster: at its end.
        report: of the edit run; empty if it was broken off.
        real: seconds from the first submission to the end of the flow.
        memory_mb: of the driver's process: before the flow, and at its highest.
        driver, workers: their calls to the Prefect server.
        objects: written below the destination, by folder.
        on_server: the task runs that the Prefect server shows, by state.
    """

    cluster: VirtualCluster
    report: dict[str, Any]
    real: float
    memory_mb: tuple[float, float]
    driver: ApiCalls
    workers: ApiCalls
    objects: Counter[str]
    on_server: dict[str, int]


def simulate(images: int, conditions: Conditions, folder: Path, **options: Any) -> Simulated:
    """Run the edit flow on a virtual cluster, and on the Prefect server that the environment names.

    Args:
        images: how many keys the source has.
        conditions: of the cluster.
        folder: an empty one, for the bundle and the run.
        options: further settings of the edit.
    """
    init(InitSettings(destination=str(folder / "bundle"), width=2, image_size=64))
    with contextlib.ExitStack() as stack:
        variables = stack.enter_context(many_keys.on_listing_server(images))
        stack.enter_context(mock.patch.dict(os.environ, variables))
        settings = EditSettings(
            source=f"s3://{many_keys.BUCKET}",
            destination=str(folder / "out"),
            bundle=str(folder / "bundle"),
            **options,
        )
        execute, workers = stack.enter_context(worker_process(variables))
        driver = stack.enter_context(counted_calls())
        cluster = VirtualCluster(conditions, execute)
        before = _peak_mb()
        began = time.perf_counter()
        with cluster.installed():
            try:
                report = run_from_terminal(edit, settings=settings)
            except RunCancelled:
                # Broken off.
                report = {}
        real = time.perf_counter() - began - cluster.totals.planned[0]
        memory = before, _peak_mb()
    objects = Counter(
        "/".join(path.relative_to(folder / "out").parts[2:3]) or path.name
        for path in (folder / "out").rglob("*")
        if path.is_file()
    )
    return Simulated(cluster, report, real, memory, driver, workers, objects, _on_server(settings, cluster))


def _on_server(settings: EditSettings, cluster: VirtualCluster) -> dict[str, int]:
    """How many task runs of the flow run the server shows, by state, once it has stored what it has received."""
    with get_client(sync_client=True) as client:
        of = {"flow_runs": {"name": {"any_": [f"edit {settings.destination}"]}}}

        def count(**state: Any) -> int:
            answer = client.request("POST", "/task_runs/count", json={**of, "task_runs": {"state": state}})
            found: int = answer.json()
            return found

        until = time.monotonic() + _STORED_WITHIN
        while (
            count(type={"any_": ["COMPLETED"]}) < cluster.totals.happened[REPORTED]
            and time.monotonic() < until
        ):
            time.sleep(_STORED_SECONDS)
        return {kind: count(type={"any_": [kind]}) for kind in [kind.name for kind in StateType]}


def rows(found: Simulated) -> Iterator[tuple[str, str]]:
    """The table."""
    cluster, report, totals = found.cluster, found.report, found.cluster.totals
    done = totals.happened["tasks done"]
    if report:
        counts = ", ".join(f"{count:,} {status}" for status, count in report["counts"].items() if count)
        yield "images", f"{report['inputs']:,} in {report['shards']:,} shards: {counts}"
    else:
        yield "broken off", f"after {done:,} of {found.objects['plan']:,} shards"
    yield "seconds, virtual and real", f"{cluster.now:,.0f} and {found.real:,.0f}"
    yield "what happened", ", ".join(f"{count:,} {what}" for what, count in sorted(totals.happened.items()))
    yield "plan", f"{totals.planned[0]:,.0f} s, {totals.planned[1]:,.0f} s of them CPU"
    yield (
        "driver",
        f"{totals.driver:,.0f} s of CPU, {1000 * totals.driver / max(done, 1):.1f} ms a shard, each a submission "
        f"of {totals.payload / 1000:,.0f} kB",
    )
    before, peak = found.memory_mb
    yield "driver's memory", f"{peak:,.0f} MB, {peak - before:,.0f} more than before"
    share = cluster.conditions.reported
    workers = "workers" if share == 1 else f"workers ({share:.0%} of their attempts)"
    for who, calls in (("driver", found.driver), (workers, found.workers)):
        for what, kinds in (("requests", calls.requests), ("events", calls.events)):
            count = kinds.total()
            rates = f"{count / cluster.now:,.1f} and {count / found.real:,.1f} a second"
            yield f"{what} of the {who} to Prefect", f"{count:,}: {rates}, virtual and real"
            if count:
                yield (
                    f"{what} of the {who}, by kind",
                    ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common(6)),
                )
    shown = ", ".join(f"{count:,} {kind.lower()}" for kind, count in found.on_server.items() if count)
    yield "task runs on the server", shown
    yield "objects written", ", ".join(f"{count:,} {kind}" for kind, count in found.objects.most_common())
    yield (
        "workers' seconds",
        f"{totals.busy:,.0f} at tasks, {totals.waited:,.0f} waiting for the driver "
        f"({totals.waited / (totals.busy + totals.waited):.1%})",
    )


def _peak_mb() -> float:
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--shard-size", type=int)
    parser.add_argument(
        "--window", type=int, default=tasks.WINDOW, help="the most submissions that are pending"
    )
    for one in fields(Conditions):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    asked = vars(parser.parse_args())
    images, shard_size, window = (asked.pop(name) for name in ("images", "shard_size", "window"))
    with (
        tempfile.TemporaryDirectory(prefix="attgan-simulation-") as folder,
        mock.patch.object(tasks, "WINDOW", window),
        mock.patch.object(tasks, "run_tasks", functools.partial(tasks.run_tasks, most=window)),
    ):
        found = simulate(images, Conditions(**asked), Path(folder), shard_size=shard_size)
    print_mapping(f"{images:,} images, {asked['workers']:,} workers, simulated", dict(rows(found)))


if __name__ == "__main__":
    main()
