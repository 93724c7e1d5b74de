"""The arithmetic of ``--what-if``, beside cases that are computed by hand."""

import json
from pathlib import Path

import pytest

from flows.bench.estimates import estimate_rows, read_measured
from flows.bench.what_if import (
    DRIVER_SECONDS,
    KEYS_PER_SECOND,
    Cluster,
    MeasuredRun,
    Threads,
    estimate,
    node_rates,
    same_cluster,
)
from flows.settings import BenchSettings, EditSettings
from tests.support.refusals import refused

THREADS = Threads(on_gpu=2, in_flight=2)
# 10,000 images in 20 shards on 2 workers of one core. An image keeps its core busy for 8 ms, and a worker takes 10 ms.
CPUS = {
    "inputs": 10_000,
    "images_done_before": 0,
    "shards": 20,
    "shards_done_before": 0,
    "bytes_in": 10_000 * 100_000,
    "bytes_out": 10_000 * 50_000,
    "seconds": {"fetch": 20.0, "decode": 20.0, "find": 20.0, "edit": 20.0, "encode": 20.0, "put": 10.0},
    "worker_seconds": 100.0,
    "wall": 60.0,
    "shards_wall": 52.0,
    "workers": 2,
    "nodes": 1,
    "cpus_per_shard": 1.0,
    "gpus_per_shard": 0.0,
}
# The same with half a GPU and 4 cores for a worker, whose model keeps a thread of the GPU busy for 4 ms.
GPU = CPUS | {"cpus_per_shard": 4.0, "gpus_per_shard": 0.5}


def measured(values: dict[str, object] = CPUS, **others: object) -> MeasuredRun:
    return MeasuredRun.model_validate(values | others)


def test_each_part_of_a_node_has_its_rate() -> None:
    assert node_rates(measured(), Cluster(1, cpus=16, gbit=0.8), THREADS) == pytest.approx(
        # 16 cores / 8 ms; 16 shards × 2 chunks / 2 ms; 0.1 GB/s / 100 kB.
        {"CPUs": 2000, "storage": 16000, "network": 1000}
    )
    assert node_rates(measured(GPU), Cluster(1, cpus=16, gpus=1), THREADS) == pytest.approx(
        # 16 cores / 4 ms; 2 shards × 2 threads / 4 ms; 2 shards × 2 chunks / 2 ms.
        {"codec CPUs": 4000, "GPU": 1000, "storage": 2000}
    )


def test_the_measured_cluster_and_size_give_the_measured_time() -> None:
    run = measured()
    found = estimate(run, same_cluster(run), 10_000, 20, THREADS, 1000)
    assert found.seconds == pytest.approx(60)
    assert found.bound == "CPUs"


def test_a_larger_run_on_more_nodes() -> None:
    run = measured()
    # A worker loses 2 × 52 s - 100 s in 20 shards: 0.2 s each.
    assert run.between_shards == pytest.approx(0.2)
    found = estimate(run, Cluster(10, cpus=8), 1_000_000, 2000, THREADS, 1000)
    # 500 images of 10 ms and 0.2 s, 2000 times, on 80 workers; 8 s before the first shard, and the longer planning.
    planning = 990_000 / KEYS_PER_SECOND
    assert found.seconds == pytest.approx(2000 * 5.2 / 80 + 8 + planning)
    assert found.cost(10, 1.8) == pytest.approx(10 * 1.8 * found.seconds / 3600)


@pytest.mark.parametrize(
    ("values", "cluster", "bound"),
    [
        (CPUS, Cluster(10, cpus=16), "CPUs"),
        (CPUS, Cluster(10, cpus=16, gbit=0.8), "network"),
        (GPU, Cluster(10, cpus=16, gpus=1), "GPU"),
        (GPU, Cluster(10, cpus=2, gpus=1), "codec CPUs"),
        (CPUS, Cluster(200, cpus=16), "driver"),
    ],
)
def test_what_bounds_it(values: dict[str, object], cluster: Cluster, bound: str) -> None:
    found = estimate(measured(values), cluster, 1_000_000, 2000, THREADS, 1000)
    assert found.bound == bound
    if bound == "driver":
        assert found.rates["driver"] == pytest.approx(500 / DRIVER_SECONDS)
        assert found.seconds > 2000 * DRIVER_SECONDS


def test_rates_are_read_from_a_file_and_answer_for_the_kind_of_node_that_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    file.write_text(json.dumps(CPUS | {"counts": {"edited": 10_000}}))
    asked = BenchSettings(
        what_if=["images=1000000,nodes=10,cpus=8"], rates=str(file), node_price=1.8, destination=str(tmp_path)
    )
    like = EditSettings(source="/in", destination="/out", shard_size=500)
    (row,) = estimate_rows(asked, read_measured(str(file)), like)
    # As computed above: 160 s.
    assert (row["time"], row["cost"], row["bound by"]) == ("3 min", "0.80", "CPUs")
    with refused("what-if-unmeasured"):
        estimate_rows(
            asked.model_copy(update={"what_if": ["images=9,cpus=8,gpus=1"]}), read_measured(str(file)), like
        )
    file.write_text("{}")
    with refused("rates-missing"):
        read_measured(str(file))
    with refused("file-missing"):
        read_measured(str(tmp_path / "other.json"))


@pytest.mark.parametrize(
    "options",
    [
        {"what_if": ["twenty nodes"]},
        {"what_if": ["images=5"]},
        {"what_if": ["images=5,cpus=0"]},
        {"what_if": ["cpus=4"]},
        {"rates": "rates.json"},
    ],
)
def test_malformed_scenarios_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"what.if"):
        BenchSettings.model_validate(options)
