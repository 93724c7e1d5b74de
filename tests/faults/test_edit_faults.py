"""The edit job loses a worker and is interrupted; the same command continues, to the byte.

Kills of its driver, of servers and at more points are part of ``make faults`` (:mod:`tests.faults.campaign.kills`).
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


def test_a_killed_worker_and_ctrl_c_cost_a_shard_each(stack: dict[str, str], tmp_path: Path) -> None:
    bucket = make_versioned_bucket("edit-faults")
    (large,) = make_scenarios(bucket, stack, ("large",))
    servers = Servers(Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1], stack)

    def kill_a_worker_and_interrupt(edit: Edit) -> None:
        kills.kill_workers(servers, 1)(edit)
        settings = large.settings.model_copy(update={"destination": f"{bucket}/out"})
        assert wait_for_shards(edit.process, settings, SHARDS // 2, edit.said), edit.said()
        edit.signal(signal.SIGINT)
        assert edit.process.wait(LIMIT) == 128 + signal.SIGINT
        wait_until(lambda: not servers.shard_workers(), "the workers to end with their driver")

    kill = Kill("worker killed, then ctrl-c", 1, kill_a_worker_and_interrupt, servers)
    result = run_case(Case(large, (kill,)), f"{bucket}/out", tmp_path, kills.run_again(servers))
    assert result.difference == Difference(0, 0, 0, [])
    assert result.injected == 1
    assert result.redone <= 2 * WORKERS * LARGE_SHARD
