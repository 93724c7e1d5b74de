"""The edit job loses a worker, is interrupted, then loses its driver: each time the same command goes on, to the byte.

More kills, of more servers and at more points, are part of ``make faults`` (:mod:`tests.faults.campaign.kills`).
"""

import signal
from pathlib import Path

import pytest

from tests.faults.campaign import kills
from tests.faults.campaign.case import Case, run_case
from tests.faults.campaign.kills import SHARDS, Edit, Kill, wait_for_shards
from tests.faults.campaign.observation import Difference
from tests.faults.campaign.runner import make_versioned_bucket
from tests.faults.campaign.scenario import LARGE_SHARD, make_scenarios
from tests.support.servers.servers import Servers
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.timeout(1800)]
WORKERS = 2


def test_a_killed_worker_ctrl_c_and_a_killed_driver_cost_a_shard_each(
    stack: dict[str, str], tmp_path: Path
) -> None:
    bucket = make_versioned_bucket("edit-faults")
    (large,) = make_scenarios(bucket, stack, ("large",))
    servers = Servers(Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1], stack)
    said: list[str] = []

    def kill_a_worker_and_interrupt(edit: Edit) -> None:
        kills.kill_workers(servers, 1)(edit)
        settings = large.settings.model_copy(update={"destination": f"{bucket}/out"})
        assert wait_for_shards(edit.process, settings, SHARDS // 2, edit.said), edit.said()
        edit.signal(signal.SIGINT)
        assert edit.process.wait(LIMIT) == 128 + signal.SIGINT
        said.append(edit.said().strip().splitlines()[-1])
        wait_until(lambda: not servers.shard_workers(), "the workers to end with their driver")

    def kill_driver(edit: Edit) -> None:
        edit.signal(signal.SIGKILL)
        wait_until(lambda: not servers.shard_workers(), "the workers to end with their driver")

    disturbances = (
        Kill("worker killed, then ctrl-c", 1, kill_a_worker_and_interrupt, servers),
        Kill("driver killed", SHARDS * 3 // 4, kill_driver, servers),
    )
    result = run_case(Case(large, disturbances), f"{bucket}/out", tmp_path, kills.run_again(servers))
    assert result.difference == Difference(0, 0, 0, [])
    assert result.injected == 2
    assert result.redone <= 3 * WORKERS * LARGE_SHARD
    assert said == ["attgan: failed: interrupted; the same command resumes where it stopped"]
