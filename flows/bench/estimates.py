"""What measured rates say about other runs: the tables of ``bench --what-if`` and of ``edit --dry-run``."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from attgan.editing.device_slots import SLOTS_PER_GPU
from attgan.errors import UserError
from flows.bench.what_if import (
    Cluster,
    Estimate,
    MeasuredRun,
    Threads,
    estimate,
    same_cluster,
    tasks_per_node,
)
from flows.edit.plan.shard_plans import shard_sizes, sizes_of
from flows.edit.report.finished_runs import find_report
from flows.edit.shard.streaming import CHUNKS_IN_FLIGHT
from flows.runtime.cluster.tasks import WINDOW
from flows.runtime.terminal import print_line, print_rows
from flows.settings import EditSettings, EstimateSettings, ReportSettings, scenario_of
from flows.storage import open_store
from flows.words import counted, lasting

_THREADS = Threads(on_gpu=SLOTS_PER_GPU, in_flight=CHUNKS_IN_FLIGHT)


def read_measured(url: str) -> MeasuredRun:
    """Read rates: a bench's file, a run's folder, or a destination where a run has finished.

    Raises:
        UserError: there are none.
        StorageError: the storage failed after its retries.
    """
    folder, _, name = url.rpartition("/")
    try:
        if name.endswith(".json"):
            found = json.loads(open_store(folder or "/", option="--rates").get(name).data)
        else:
            found = find_report(ReportSettings(run=url))
    except FileNotFoundError:
        raise UserError("file-missing", f"--rates {url}: there is no such file") from None
    except ValueError:
        raise UserError("rates-missing", f"--rates {url}: is not a JSON file") from None
    return measured_in(found, url)


def measured_in(report: dict[str, Any], url: str) -> MeasuredRun:
    """The rates in a report.

    Raises:
        UserError: it has none, as those of earlier versions.
    """
    try:
        return MeasuredRun.model_validate(report)
    except ValidationError as error:
        lacks = error.errors(include_url=False)[0]["loc"][0]
        raise UserError(
            "rates-missing",
            f"--rates {url}: has no rates ({lacks}); a run or a bench of this version writes them",
        ) from None


def estimate_rows(
    asked: EstimateSettings, measured: MeasuredRun, settings: EditSettings, images: int = 0
) -> list[dict[str, str]]:
    """A row for each cluster that is asked for; without any, one for the cluster that was measured.

    Args:
        asked: the scenarios and the price.
        measured: the rates.
        settings: of the edit. They decide how many shards it has.
        images: for scenarios that do not say how many.

    Raises:
        UserError: the rates say nothing about a scenario.
    """
    rows = []
    for scenario in map(scenario_of, asked.what_if):
        cluster = Cluster(scenario.nodes, scenario.cpus, scenario.gpus, scenario.gbit)
        count = scenario.images or images
        found = _estimate(measured, cluster, count, settings)
        rows.append(_row(_named(cluster), count, found, scenario.nodes, asked.node_price))
    if not rows:
        found = _estimate(measured, same_cluster(measured), images, settings)
        name = f"as measured: {counted(measured.workers, 'worker')} on {counted(measured.nodes, 'node')}"
        rows.append(_row(name, images, found, measured.nodes, asked.node_price))
    return rows


def show_estimates(asked: EstimateSettings, settings: EditSettings, images: int) -> None:
    """Print time and cost of an edit. Without named rates, those of the last run at its destination are used.

    Raises:
        UserError: the named rates are missing, or say nothing about a scenario.
        StorageError: the storage failed after its retries.
    """
    if not images:
        return
    try:
        measured = read_measured(asked.rates or settings.destination)
    except UserError:
        # Without named rates: no run, none that has finished, or no destination yet.
        if asked.rates is not None:
            raise
        print_line(
            "time and cost: unknown, because no run of this version has finished at the destination; --rates names a "
            "result of `attgan bench --save`"
        )
        return
    title = f"Time{' and cost' if asked.node_price else ''}, from the rates of {asked.rates or 'the last run there'}"
    print_rows(title, estimate_rows(asked, measured, settings, images))


def _estimate(measured: MeasuredRun, cluster: Cluster, images: int, settings: EditSettings) -> Estimate:
    if bool(cluster.gpus) != bool(measured.gpus_per_shard) or not tasks_per_node(measured, cluster):
        raise UserError(
            "what-if-unmeasured",
            f"--what-if: nodes with {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs, but the rates are of shards with "
            f"{measured.cpus_per_shard:g} CPUs and {measured.gpus_per_shard:g} GPUs each",
        )
    shards = len(sizes_of(images, shard_sizes(settings)))
    return estimate(measured, cluster, images, shards, _THREADS, WINDOW)


def _named(cluster: Cluster) -> str:
    parts = [counted(cluster.nodes, "node"), f"{cluster.cpus:g} CPUs"]
    parts += [f"{cluster.gpus:g} GPUs"] if cluster.gpus else []
    parts += [f"{cluster.gbit:g} Gbit/s"] if cluster.gbit else []
    return ", ".join(parts)


def _row(cluster: str, images: int, found: Estimate, nodes: int, price: float | None) -> dict[str, str]:
    rates = ", ".join(f"{part} {rate:,.0f}" for part, rate in found.rates.items())
    row = {
        "cluster": cluster,
        "images": f"{images:,}",
        "time": lasting(found.seconds),
        "images/s": f"{images / found.seconds:,.0f}",
        "bound by": found.bound,
        "images/s that each part allows": rates,
    }
    return row if price is None else row | {"cost": f"{found.cost(nodes, price):,.2f}"}
