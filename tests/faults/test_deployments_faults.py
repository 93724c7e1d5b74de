"""A run whose process dies, with its worker or without: the server learns of it, and the next one starts."""

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

from flows.deploy import automations
from flows.settings import InitSettings
from flows.training.weights import init
from tests.support.images.pictures import noise, saved
from tests.support.processes import find_processes, kill_all
from tests.support.servers.own_worker import deploy_once, worker_beside
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(1800)]

INFRA = Path(__file__).parents[2] / "infra"
Places = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def client(stack: dict[str, str]) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def impatient(client: SyncPrefectClient) -> Iterator[Callable[[float | None], None]]:
    """Sets after how many seconds of silence a run has crashed; as before with None, and in the end."""

    def wait(seconds: float | None) -> None:
        watching = automations.read(INFRA / automations.CRASH_RULES)
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
    places = {option: f"s3://{name}/{folder}" for option, folder in folders.items()}
    return {"settings": places | {"faces": "aligned"}}


def test_a_run_that_dies_makes_room_at_once_or_with_its_worker_after_a_silence(
    client: SyncPrefectClient,
    stack: dict[str, str],
    parameters: Places,
    impatient: Callable[[float | None], None],
    tmp_path: Path,
) -> None:
    with worker_beside(stack, tmp_path / "log") as worker:
        deploy_once(client)
        killed = _start(client, parameters)
        _process(killed).kill()
        crashed = _until(client, killed, StateType.CRASHED)
        assert crashed.state is not None
        assert "-9" in str(crashed.state.message)

        impatient(20)
        silent = _start(client, parameters)
        kill_all([psutil.Process(worker.pid), _process(silent)])
    with worker_beside(stack, tmp_path / "log"):
        crashed = _until(client, silent, StateType.CRASHED)
        assert crashed.state is not None
        assert str(crashed.state.message).startswith("No heartbeat for ten minutes")
        # A run that lives is heard of every 30 s.
        impatient(None)
        after = run_deployment("edit/edit", parameters=parameters, timeout=LIMIT, poll_interval=0.5)
        assert after.state is not None
        assert after.state.is_completed(), after.state


def test_a_run_that_is_cancelled_in_the_ui_ends_as_cancelled(
    client: SyncPrefectClient, stack: dict[str, str], parameters: Places, tmp_path: Path
) -> None:
    with worker_beside(stack, tmp_path / "log"):
        deploy_once(client)
        run = _start(client, {"settings": {**parameters["settings"], "shard_size": 1}})
        # Ray's handler of signals comes in the place of Prefect's, which knows what is meant, when the flow joins it.
        _until_logged(client, run, "12 shards")
        client.set_flow_run_state(run.id, Cancelling())
        _until(client, run, StateType.CANCELLED)
        assert _taken(client) == 0


def test_a_run_that_a_worker_took_on_and_never_began_makes_room(
    client: SyncPrefectClient,
    stack: dict[str, str],
    parameters: Places,
    impatient: Callable[[float | None], None],
    tmp_path: Path,
) -> None:
    with worker_beside(stack, tmp_path / "log"):
        deploy_once(client)
    # The least that Prefect takes.
    impatient(10)
    run = run_deployment("edit/edit", parameters=parameters, timeout=0)
    # As a worker does, and dies.
    client.set_flow_run_state(run.id, Pending())
    assert _taken(client) == 1
    crashed = _until(client, run, StateType.CRASHED)
    assert crashed.state is not None
    assert str(crashed.state.message).startswith("Accepted twenty minutes ago")
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
    wait_until(
        lambda: client.request("POST", "/events/filter", json=heard).json()["events"],
        "a sign of life of the run",
    )
    return running


def _until(client: SyncPrefectClient, run: FlowRun, state: StateType) -> FlowRun:
    def seen() -> FlowRun | None:
        found = client.read_flow_run(run.id)
        return found if found.state_type == state else None

    return wait_until(seen, lambda: f"{state.value}, not {client.read_flow_run(run.id).state}")


def _until_logged(client: SyncPrefectClient, run: FlowRun, words: str) -> None:
    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
    wait_until(
        lambda: any(words in log.message for log in client.read_logs(chosen)), f"{words!r} in the run's log"
    )


def _process(run: FlowRun) -> psutil.Process:
    variable = ("PREFECT__FLOW_RUN_ID", str(run.id))
    (found,) = find_processes(
        lambda one: variable in one.environ().items() and "prefect.engine" in one.cmdline()
    )
    return found


def _taken(client: SyncPrefectClient) -> int:
    limit = client.read_deployment_by_name("edit/edit").global_concurrency_limit
    assert limit is not None
    return limit.active_slots
