"""The edit job is interrupted, loses its driver, then a worker: each time the same command goes on, to the byte.

More kills, of more servers and at more points, are part of ``make faults`` (:mod:`tests.faults.campaign.kills`).
"""

import signal
from pathlib import Path

import pytest

from tests.faults.campaign import kills
from tests.faults.campaign.case import Case, run_case
from tests.faults.campaign.kills import SHARDS, Edit, Kill
from tests.faults.campaign.observation import Difference
from tests.faults.campaign.runner import make_versioned_bucket
from tests.faults.campaign.scenario import LARGE_SHARD, make_scenarios
from tests.support.servers.servers import Servers
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.timeout(1800)]
WORKERS = 2


def test_ctrl_c_a_killed_driver_and_a_killed_worker_cost_a_shard_each(
    stack: dict[str, str], tmp_path: Path
) -> None:
    bucket = make_versioned_bucket("edit-faults")
    (large,) = make_scenarios(bucket, stack, ("large",))
    servers = Servers(Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1], stack)
    said: list[str] = []

    def interrupt(edit: Edit) -> None:
        edit.signal(signal.SIGINT)
        assert edit.process.wait(LIMIT) == 128 + signal.SIGINT
        said.append(edit.said().strip().splitlines()[-1])
        wait_until(lambda: not servers.shard_workers(), "the workers to end with their driver")

    def kill_driver(edit: Edit) -> None:
        edit.signal(signal.SIGKILL)
        wait_until(lambda: not servers.shard_workers(), "the workers to end with their driver")

    disturbances = (
        Kill("ctrl-c", 1, interrupt, servers),
        Kill("driver killed", SHARDS // 4, kill_driver, servers),
        Kill("worker killed", SHARDS // 2, kills.kill_workers(servers, 1), servers, must_end=True),
    )
    result = run_case(Case(large, disturbances), f"{bucket}/out", tmp_path, kills.run_again(servers))
    assert result.difference == Difference(0, 0, 0, [])
    assert result.injected == 3
    assert result.redone <= len(disturbances) * WORKERS * LARGE_SHARD
    assert said == ["attgan: failed: interrupted; the same command resumes where it stopped"]
