"""The edit job loses its driver or a worker in mid-run, or is interrupted: the same command ends it, to the byte.

More kills, of more servers and at more points, are part of ``make faults`` (:mod:`tests.campaign.kills`).
"""

import signal
from pathlib import Path

import pytest

from flows.storage import join
from tests.campaign import kills
from tests.campaign.case import Case, Result, run_case
from tests.campaign.kills import SHARDS, Edit, Kill
from tests.campaign.observation import Difference
from tests.campaign.runner import make_versioned_bucket
from tests.campaign.scenario import LARGE_SHARD, Scenario, make_scenarios
from tests.servers import Servers, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault]
WORKERS = 2


@pytest.fixture(scope="module")
def large(stack: dict[str, str]) -> Scenario:
    """A run that lasts some seconds, and what it writes when nothing happens to it."""
    (scenario,) = make_scenarios(make_versioned_bucket("edit-faults"), stack, ("large",))
    return scenario


@pytest.fixture(scope="module")
def servers(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Servers:
    return Servers(tmp_path_factory.getbasetemp(), stack)


def result_of(kill: Kill, large: Scenario, folder: Path) -> Result:
    destination = join("s3://edit-faults", kill.kind.replace(" ", "-"))
    return run_case(Case(large, (kill,)), destination, folder, kills.run_again(kill.servers))


def test_a_killed_driver_frees_the_cluster_and_the_same_command_ends_the_run(
    large: Scenario, servers: Servers, tmp_path: Path
) -> None:
    def strike(edit: Edit) -> None:
        edit.signal(signal.SIGKILL)
        wait_until(
            lambda: not servers.shard_workers(), lambda: "workers go on without their driver", seconds=30
        )

    result = result_of(Kill("driver killed", SHARDS // 2, strike, servers), large, tmp_path)
    assert result.difference == Difference(0, 0, 0, [])
    assert result.injected == 1
    assert result.redone <= WORKERS * LARGE_SHARD


def test_a_killed_worker_is_not_noticed(large: Scenario, servers: Servers, tmp_path: Path) -> None:
    strike = kills.kill_workers(servers, 1)
    kill = Kill("worker killed", SHARDS // 2, strike, servers, must_end=True)
    result = result_of(kill, large, tmp_path)
    assert result.difference == Difference(0, 0, 0, [])
    assert result.injected == 1


def test_ctrl_c_ends_it_cleanly_and_frees_the_cluster(
    large: Scenario, servers: Servers, tmp_path: Path
) -> None:
    said: list[str] = []

    def strike(edit: Edit) -> None:
        edit.signal(signal.SIGINT)
        assert edit.process.wait(timeout=30) == 130
        said.append(edit.said().strip().splitlines()[-1])
        wait_until(
            lambda: not servers.shard_workers(), lambda: "workers go on without their driver", seconds=30
        )

    result = result_of(Kill("ctrl-c", SHARDS // 2, strike, servers), large, tmp_path)
    assert result.difference == Difference(0, 0, 0, [])
    assert said == ["attgan: failed: interrupted; the same command goes on where it stopped"]
