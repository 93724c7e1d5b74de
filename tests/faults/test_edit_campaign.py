"""The fault campaign in short (``make faults`` is the whole): kills at every named point, and some other faults."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import in_process, network, small_disk
from tests.faults.campaign.case import Case
from tests.faults.campaign.runner import make_versioned_bucket, run_cases, sample
from tests.faults.campaign.scenario import Scenario, make_scenarios
from tests.support.servers.aws_environment import leading_to

pytestmark = [pytest.mark.stack, pytest.mark.fault]
SEED = 5


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> list[Scenario]:
    return make_scenarios(str(tmp_path_factory.mktemp("scenarios")), {}, ("first", "changed"))


@pytest.fixture(scope="module")
def on_s3(s3_server: dict[str, str]) -> Iterator[list[Scenario]]:
    """Scenarios in a bucket that remembers every write, to which this process then leads."""
    with leading_to(s3_server):
        yield make_scenarios(make_versioned_bucket("short-campaign"), s3_server, ("first", "changed"))


def kind(case: Case) -> str:
    """What happens first in a case."""
    (disturbance, *_) = case.disturbances
    assert isinstance(disturbance, in_process.InProcess)
    return disturbance.fault.kind


def check(cases: Iterable[Case], root: str, lanes: int = 2) -> None:
    """Nothing is lost, written twice, different or otherwise wrong; and every fault was met."""
    results = list(run_cases(cases, root, lanes))
    assert [(result.case, result.difference) for result in results if result.difference] == []
    assert [result.case for result in results if not result.injected] == []


def test_a_process_that_is_killed_at_any_named_point(on_disk: list[Scenario], tmp_path: Path) -> None:
    check((case for case in in_process.named_cases(on_disk[0]) if kind(case) == "exit"), str(tmp_path))


def test_all_kinds_of_faults(on_disk: list[Scenario], tmp_path: Path) -> None:
    every = [case for scenario in on_disk for case in in_process.all_cases(scenario)]
    kinds = ("error", "lost", "full", "stop")
    cases = [case for one in kinds for case in sample([case for case in every if kind(case) == one], 2, SEED)]
    cases += sample(in_process.lease_cases(on_disk[0]), 2, SEED)
    check(cases + in_process.double_cases(on_disk[1], 1, SEED), str(tmp_path))


@pytest.mark.long
def test_faults_on_s3(on_s3: list[Scenario]) -> None:
    cases = [case for scenario in on_s3 for case in in_process.all_cases(scenario)]
    check(sample(cases, 4, SEED), "s3://short-campaign/in-process")


@pytest.mark.long
def test_a_bad_network(on_s3: list[Scenario]) -> None:
    cases = [case for scenario in on_s3 for case in network.all_cases(scenario)]
    check(sample(cases, 6, SEED), "s3://short-campaign")


def test_a_disk_that_is_really_full() -> None:
    with small_disk.mounted() as disk:
        if disk is None:
            pytest.skip("this user may not mount a file system")
        (first,) = make_scenarios(str(disk), {}, ("first",))
        check(small_disk.cases(first, disk)[1:8:3], str(disk), lanes=1)
