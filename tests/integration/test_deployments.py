"""Deployments on a real Prefect server, run by a real worker: registered twice, scheduled, started side by side."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import PrefectHTTPStatusError

from flows.deploy import automations, deployments, schedule
from flows.runtime.running import REFUSED
from flows.settings import DeploySettings, InitSettings, ScheduleSettings
from flows.training.weights import init
from infra.local.worker import POOL
from tests.support.images.pictures import noise, saved
from tests.support.refusals import refused
from tests.support.servers.own_worker import deploy_once, worker_beside
from tests.support.waiting import LIMIT, wait_until

pytestmark = pytest.mark.stack
INFRA = Path(__file__).parents[2] / "infra"


@pytest.fixture(scope="module", autouse=True)
def worker(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with worker_beside(stack, tmp_path_factory.mktemp("worker") / "log"):
        yield


@pytest.fixture(scope="module")
def client(worker: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployed(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """The deployments as the server has them."""
    deploy_once(client)
    return client.read_deployments()


@pytest.fixture
def edit(
    client: SyncPrefectClient, deployed: list[DeploymentResponse]
) -> Iterator[Callable[[], DeploymentResponse]]:
    """The edit's deployment as the server has it now; afterwards it is again as it was first registered."""

    def read() -> DeploymentResponse:
        return client.read_deployment_by_name("edit/edit")

    yield read
    deployment = read()
    client.update_deployment(deployment.id, DeploymentUpdate(parameters={"settings": {}}))
    (nightly,) = deployment.schedules
    client.update_deployment_schedule(
        deployment.id, nightly.id, active=False, schedule=schedule.NIGHTLY, parameters={}
    )


@pytest.fixture
def places(fresh_bucket: Callable[[], str]) -> dict[str, Any]:
    name = fresh_bucket()
    init(InitSettings(destination=f"s3://{name}/bundle", image_size=64, width=4))
    client = boto3.client("s3")
    for i in range(12):
        client.put_object(Bucket=name, Key=f"in/{i:03d}.jpg", Body=saved(noise(i)))
    folders = {"source": "in", "destination": "out", "bundle": "bundle"}
    return {option: f"s3://{name}/{folder}" for option, folder in folders.items()} | {"faces": "aligned"}


@dataclass(frozen=True)
class Told:
    """A notification block that posts to this process, and what it has posted."""

    block: str
    messages: list[dict[str, str]]


@pytest.fixture
def told(client: SyncPrefectClient) -> Iterator[Told]:
    messages: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            del words

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        block = CustomWebhookNotificationBlock(
            name="test",
            url=f"http://127.0.0.1:{server.server_port}/",
            method="POST",
            json_data={"subject": "{{subject}}", "text": "{{body}}"},
        )
        document = block.save("test", overwrite=True)
        yield Told("custom-webhook/test", messages)
        client.delete_block_document(document)
        server.shutdown()


def test_all_flows_are_there_with_a_form_that_explains_every_field(
    deployed: list[DeploymentResponse],
) -> None:
    names = {"subset", "align", "train", "train-classifier", "sweep", "pipeline", "edit"}
    assert {deployment.name for deployment in deployed} == names
    for deployment in deployed:
        assert deployment.enforce_parameter_schema
        assert deployment.work_pool_name == POOL
        form = deployment.parameter_openapi_schema
        assert form is not None
        (settings,) = form["properties"].values()
        fields = form["definitions"][settings["$ref"].rsplit("/", 1)[1]]["properties"]
        groups = [
            field["anyOf"][1]["properties"] for field in fields.values() if "patternProperties" in field
        ]
        for shown in [fields, *groups]:
            assert {name for name, field in shown.items() if not field.get("description")} == set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sorce": "s3://in"},
        {"results": {"quality": 1000}},
    ],
)
def test_the_server_refuses_wrong_parameters(
    client: SyncPrefectClient, edit: Callable[[], DeploymentResponse], wrong: dict[str, Any]
) -> None:
    parameters = {"settings": {"source": "s3://in", "destination": "s3://out", **wrong}}
    with pytest.raises(PrefectHTTPStatusError, match=r"422|409"):
        client.create_flow_run_from_deployment(edit().id, parameters=parameters)


def test_deploying_again_keeps_what_users_have_set(
    client: SyncPrefectClient, edit: Callable[[], DeploymentResponse], places: dict[str, Any]
) -> None:
    wanted = {**places, "cron": "30 4 * * 1", "timezone": "Europe/Berlin", "enable": True, "quality": 90}
    (row,) = schedule.set_schedule(ScheduleSettings.model_validate(wanted))
    assert (row["when"], row["state"]) == ("30 4 * * 1\nEurope/Berlin", "active")
    assert len(row["next runs"].splitlines()) == schedule.NEXT_RUNS
    assert row["from → to"] == f"{places['source']}\n→ {places['destination']}"
    (silent,) = client.read_automations_by_name("attgan-crash-silent-runs")
    client.pause_automation(silent.id)
    before = edit()
    try:
        result = deployments.deploy(DeploySettings(pool=POOL))
        assert result.workers >= 1
        after = edit()
        kept = ("id", "parameters", "schedules", "paused", "concurrency_options")
        assert {name: getattr(after, name) for name in kept} == {name: getattr(before, name) for name in kept}
        assert after.parameters == {"settings": {**places, "results": {"quality": 90}}}
        (again,) = client.read_automations_by_name("attgan-crash-silent-runs")
        assert not again.enabled
    finally:
        client.resume_automation(silent.id)


def test_what_is_not_given_stays_and_what_the_flow_would_refuse_is_not_set(
    edit: Callable[[], DeploymentResponse], places: dict[str, Any]
) -> None:
    def given(**options: Any) -> dict[str, Any]:
        (row,) = schedule.set_schedule(ScheduleSettings.model_validate(options))
        return row

    with pytest.raises(ValueError, match="destination"):
        given(source=places["source"], enable=True)
    assert edit().parameters == {"settings": {}}
    given(**places, quality=90)
    given(intensity=1.5, cron="0 5 * * *")
    assert edit().parameters == {"settings": {**places, "results": {"quality": 90}, "intensity": 1.5}}
    assert given(enable=True)["state"] == "active"
    row = given(disable=True)
    assert (row["when"], row["state"]) == ("0 5 * * *\nUTC", "paused")
    assert schedule.schedules("edit") == [row]
    with refused("deployment-missing"):
        given(deployment="nosuch")
    with refused("deployment-missing"):
        schedule.schedules("nosuch")


def test_an_enabled_schedule_makes_runs_and_a_disabled_one_makes_none(
    client: SyncPrefectClient, edit: Callable[[], DeploymentResponse], places: dict[str, Any]
) -> None:
    def scheduled() -> list[FlowRun]:
        return client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[edit().id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
            ),
        )

    schedule.set_schedule(ScheduleSettings.model_validate({**places, "enable": True}))
    runs = wait_until(scheduled, "runs to be made")
    assert {run.next_scheduled_start_time.hour for run in runs if run.next_scheduled_start_time} == {3}
    schedule.set_schedule(ScheduleSettings(disable=True))
    wait_until(lambda: not scheduled(), "no run to be left")


def test_a_run_goes_through_the_worker_and_a_second_one_does_not_start_beside_it(
    client: SyncPrefectClient, edit: Callable[[], DeploymentResponse], places: dict[str, Any]
) -> None:
    edit()
    parameters = {"settings": places}
    runs = [run_deployment("edit/edit", parameters=parameters, timeout=0) for _ in range(2)]
    ended = wait_until(
        lambda: _if_all_final([client.read_flow_run(run.id) for run in runs]), "two ended runs"
    )
    states = {run.state.type: run for run in ended if run.state}
    assert set(states) == {StateType.COMPLETED, StateType.CANCELLED}, [run.state for run in ended]
    told = states[StateType.COMPLETED].state
    assert told is not None
    assert str(told.message).startswith("12 images: 12 edited; " + places["destination"])
    cancelled = states[StateType.CANCELLED]
    assert StateType.RUNNING not in {state.type for state in client.read_flow_run_states(cancelled.id)}
    assert cancelled.state is not None
    assert cancelled.state.message == "Deployment concurrency limit reached."
    bucket = places["destination"].split("/")[2]
    written = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="out/0")["Contents"]
    assert [item["Key"] for item in written] == [f"out/{i:03d}.jpg" for i in range(12)]
    limit = edit().global_concurrency_limit
    assert limit is not None
    assert limit.active_slots == 0


@pytest.mark.long
def test_a_block_of_the_users_is_told_of_a_failed_run_and_of_too_many_failed_images(
    client: SyncPrefectClient, edit: Callable[[], DeploymentResponse], places: dict[str, Any], told: Told
) -> None:
    edit()
    found = automations.notification_block(client, told.block)
    tell = automations.read(INFRA / automations.NOTIFICATIONS, block_document_id=found)
    automations.register(client, tell)
    automations.register(client, tell)
    there = [one for wanted in tell for one in client.read_automations_by_name(wanted.name)]
    try:
        assert len(there) == len(tell) == 2
        refused = {"settings": {**places, "destination": places["source"]}}
        run = run_deployment("edit/edit", parameters=refused, timeout=LIMIT, poll_interval=0.5)
        assert run.state is not None
        assert run.state.name == REFUSED
        first = wait_until(lambda: told.messages, "news of the run")[0]
        assert first["subject"] == f"edit {REFUSED}: edit {places['source']}"
        assert first["text"].startswith(str(run.state.message))
        assert first["text"].endswith(f"/runs/flow-run/{run.id}")

        payload = {
            "failed_share": 0.25,
            "limit": 0.1,
            "run_url": "s3://out/_runs/1",
            "message": "5 of 20 failed",
        }
        related = [{"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.role": "flow-run"}]
        emit_event(
            "attgan.edit.failed-share-passed",
            {"prefect.resource.id": "attgan.edit-run.1"},
            related=related,
            payload=payload,
        )
        # Prefect may have told of the run once more before it.
        subject = "edit: 25.0 % of the images failed"
        second, *_ = wait_until(
            lambda: [one for one in told.messages if one["subject"] == subject], "news of the images"
        )
        assert second["text"].splitlines()[:2] == ["5 of 20 failed", "s3://out/_runs/1"]
    finally:
        for one in there:
            client.delete_automation(one.id)


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("slack-webhook/nobody", "block-missing"),
        ("secret/word", "block-cannot-notify"),
    ],
)
def test_a_block_that_is_not_there_or_sends_nothing_is_refused(
    client: SyncPrefectClient, block: str, code: str
) -> None:
    Secret(value="word").save("word", overwrite=True)
    with refused(code):
        deployments.deploy(DeploySettings(pool=POOL, notify=block))


def test_a_work_pool_that_is_not_there_is_refused(worker: None) -> None:
    with refused("work-pool-missing"):
        deployments.deploy(DeploySettings(pool="nosuch"))


def _if_all_final(runs: list[FlowRun]) -> list[FlowRun]:
    return runs if all(run.state and run.state.is_final() for run in runs) else []
