"""The simulation of a large cluster, in small: the driver's real flow, on a real Prefect server."""

from pathlib import Path

import pytest

from flows.bench.what_if import MeasuredRun
from tests.benchmarks.simulation import simulate
from tests.benchmarks.virtual_cluster import Conditions


@pytest.mark.stack
@pytest.mark.long
def test_an_edit_on_a_virtual_cluster_loses_nothing(stack: dict[str, str], tmp_path: Path) -> None:
    conditions = Conditions(
        workers=12,
        per_node=3,
        rate=10,
        deaths=0.3,
        storage_errors=0.3,
        node_lost_every=10,
        node_back=20,
        seed=1,
    )
    found = simulate(2000, conditions, tmp_path, shard_size=80)
    happened, report = found.cluster.totals.happened, found.report
    assert report["inputs"] == 2000
    assert report["shards"] == 25
    assert found.objects["ledger"] == 25
    assert happened["attempts lost with their process"] > 0
    assert happened["attempts that the storage failed"] > 0
    assert happened["nodes lost"] > 0
    # 2000 images at 10 a second on 12 workers, and what the lost attempts cost.
    assert found.cluster.now > 2000 / 10 / 12
    # A run's report holds what the arithmetic of --what-if needs.
    # It is rounded.
    assert MeasuredRun.model_validate(report).shards_wall == pytest.approx(found.cluster.now, rel=0.05)
    # Each shard is done once, and the server shows nothing as running that is over.
    assert found.on_server["COMPLETED"] == 25
    assert found.on_server["RUNNING"] == found.on_server["PENDING"] == 0
