"""A run whose process dies, with its worker or without: the server learns of it, and the next one starts."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.events.schemas.automations import EventTrigger
from prefect.states import Cancelling, Pending

from flows import automations, deployments
from flows.settings import DeploySettings, InitSettings
from flows.weights import init
from infra.worker import POOL
from tests.own_worker import worker_beside
from tests.pictures import noise, saved

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

Places = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def client(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    with worker_beside(stack, tmp_path_factory.mktemp("worker") / "log"):  # it makes the work pool
        deployments.deploy(DeploySettings(pool=POOL))
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def impatient(client: SyncPrefectClient) -> Iterator[Callable[[float | None], None]]:
    """Sets after how many seconds of silence a run has crashed; as before in the end."""

    def wait(seconds: float | None) -> None:
        watching = automations.read(automations.WATCH)
        for one in watching if seconds else []:
            assert isinstance(one.trigger, EventTrigger)
            one.trigger = one.trigger.model_copy(update={"within": timedelta(seconds=seconds)})
        automations.register(client, watching)

    yield wait
    wait(None)


@pytest.fixture
def parameters(fresh_bucket: Callable[[], str]) -> Places:
    name = fresh_bucket()
    init(InitSettings(destination=f"s3://{name}/bundle", image_size=64, width=4))
    client = boto3.client("s3")
    for i in range(12):
        client.put_object(Bucket=name, Key=f"in/{i:03d}.jpg", Body=saved(noise(i)))
    folders = {"source": "in", "destination": "out", "bundle": "bundle"}
    return {"settings": {option: f"s3://{name}/{folder}" for option, folder in folders.items()}}


def test_a_run_whose_process_is_killed_makes_room_at_once(
    client: SyncPrefectClient, stack: dict[str, str], parameters: Places, tmp_path: Path
) -> None:
    with worker_beside(stack, tmp_path / "log"):
        killed = _start(client, parameters)
        _process(killed).kill()
        crashed = _until(client, killed, StateType.CRASHED)
        assert crashed.state is not None
        assert "-9" in str(crashed.state.message)
        _assert_the_next_one_completes(parameters)


@pytest.mark.long
def test_a_run_that_is_cancelled_in_the_ui_ends_as_cancelled(
    client: SyncPrefectClient, stack: dict[str, str], parameters: Places, tmp_path: Path
) -> None:
    with worker_beside(stack, tmp_path / "log"):
        run = _start(client, {"settings": {**parameters["settings"], "shard_size": 1}})
        # Ray's handler of signals comes in the place of Prefect's, which knows what is meant, when the flow joins it.
        _until_logged(client, run, "12 shards")
        client.set_flow_run_state(run.id, Cancelling())
        _until(client, run, StateType.CANCELLED)
        _assert_the_next_one_completes(parameters)


def test_a_run_that_dies_with_its_worker_is_crashed_for_its_silence_and_the_next_one_starts(
    client: SyncPrefectClient,
    stack: dict[str, str],
    parameters: Places,
    impatient: Callable[[float | None], None],
    tmp_path: Path,
) -> None:
    impatient(40)  # a run that lives is heard of every 30 s
    with worker_beside(stack, tmp_path / "log") as worker:
        silent = _start(client, parameters)
        for process in (psutil.Process(worker.pid), _process(silent)):
            process.kill()
    with worker_beside(stack, tmp_path / "log"):
        # It has its place until the server calls it crashed, worker or no worker.
        meanwhile = run_deployment("edit/edit", parameters=parameters, timeout=60, poll_interval=0.2)
        assert meanwhile.state is not None
        assert meanwhile.state.is_cancelled(), meanwhile.state
        crashed = _until(client, silent, StateType.CRASHED)
        assert crashed.state is not None
        assert str(crashed.state.message).startswith("Not heard of for ten minutes")
        _assert_the_next_one_completes(parameters)


@pytest.mark.long
def test_a_run_that_a_worker_took_on_and_never_began_makes_room(
    client: SyncPrefectClient, parameters: Places, impatient: Callable[[float | None], None]
) -> None:
    impatient(10)  # the least that Prefect takes
    run = run_deployment("edit/edit", parameters=parameters, timeout=0)
    client.set_flow_run_state(run.id, Pending())  # as a worker does, and dies
    assert _taken(client) == 1
    crashed = _until(client, run, StateType.CRASHED)
    assert crashed.state is not None
    assert str(crashed.state.message).startswith("Taken on twenty minutes ago")
    assert _taken(client) == 0


def _start(client: SyncPrefectClient, parameters: Places) -> FlowRun:
    """A run that has begun and has been heard of."""
    run = run_deployment("edit/edit", parameters=parameters, timeout=0)
    running = _until(client, run, StateType.RUNNING)
    heard = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run.id}"]},
        }
    }
    deadline = time.monotonic() + 30
    while not client.request("POST", "/events/filter", json=heard).json()["events"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return running


def _until(client: SyncPrefectClient, run: FlowRun, state: StateType, seconds: float = 120) -> FlowRun:
    deadline = time.monotonic() + seconds
    while (seen := client.read_flow_run(run.id)).state_type != state:
        assert time.monotonic() < deadline, seen.state
        time.sleep(0.1)
    return seen


def _until_logged(client: SyncPrefectClient, run: FlowRun, words: str) -> None:
    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
    deadline = time.monotonic() + 60
    while not any(words in log.message for log in client.read_logs(chosen)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _process(run: FlowRun) -> psutil.Process:
    found = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID") == str(run.id)
        and "prefect.engine" in process.cmdline()
    ]
    assert len(found) == 1
    return found[0]


def _taken(client: SyncPrefectClient) -> int:
    limit = client.read_deployment_by_name("edit/edit").global_concurrency_limit
    assert limit is not None
    return limit.active_slots


def _assert_the_next_one_completes(parameters: Places) -> None:
    after = run_deployment("edit/edit", parameters=parameters, timeout=120, poll_interval=0.5)
    assert after.state is not None
    assert after.state.is_completed(), after.state
