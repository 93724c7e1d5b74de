"""A deployment that version 0.1.0 registered, with an enabled schedule, runs on this version."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import ConcurrencyOptions, FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.importtools import import_object

from tests.support import previous_version
from tests.support.servers.own_worker import worker_beside
from tests.support.waiting import wait_until

ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED)
REGISTERED: list[dict[str, Any]] = json.loads(
    (previous_version.ARCHIVE.parent / "deployments.json").read_text()
)


@pytest.mark.parametrize("spec", REGISTERED, ids=lambda spec: spec["name"])
def test_its_entrypoints_still_lead_to_the_flows(spec: dict[str, Any]) -> None:
    found = import_object(spec["entrypoint"])
    assert isinstance(found, Flow)
    assert found.name == spec["flow_name"]


@pytest.fixture
def client(stack: dict[str, str], tmp_path: Path) -> Iterator[SyncPrefectClient]:
    with worker_beside(stack, tmp_path / "worker.log"), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return previous_version.unpack(tmp_path / "placed")


@pytest.fixture
def deployment(client: SyncPrefectClient, place: Path) -> Iterator[UUID]:
    """The edit's deployment as version 0.1.0 registered it, with a schedule that is enabled: a run each minute."""
    (spec,) = (spec for spec in REGISTERED if spec["flow_name"] == "edit")
    settings = {
        "source": f"{place}/images",
        "destination": f"{place}/unfinished",
        "bundle": f"{place}/bundle",
    }
    settings |= {"faces": "aligned", "shard_size": 4, "paste": "whole", "max_failed_share": 0.5}
    kept = ("version", "entrypoint", "path", "description", "tags", "parameter_openapi_schema")
    registered = client.create_deployment(
        flow_id=client.create_flow_from_name("edit"),
        # Beside the one that other tests register.
        name="previous",
        **{
            name: spec[name]
            for name in (*kept, "enforce_parameter_schema", "job_variables", "work_pool_name")
        },
        parameters={"settings": settings},
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron="* * * * *"), active=True)],
        concurrency_limit=spec["concurrency_limit"],
        concurrency_options=ConcurrencyOptions(
            collision_strategy=spec["concurrency_options"]["collision_strategy"]
        ),
        pull_steps=json.loads(json.dumps(spec["pull_steps"]).replace(previous_version.FOLDER, str(place))),
    )
    yield registered
    client.delete_deployment(registered)


@pytest.mark.stack
@pytest.mark.long
def test_its_enabled_schedule_makes_runs_that_this_version_completes(
    client: SyncPrefectClient, deployment: UUID, place: Path
) -> None:
    of_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))

    def runs(*states: StateType) -> list[FlowRun]:
        found = client.read_flow_runs(deployment_filter=of_deployment)
        return [run for run in found if run.state and run.state.type in states]

    # Runs that come due while the first one is under way are cancelled: one at a time is what the deployment says.
    ended = wait_until(lambda: runs(*ENDED), "a scheduled run to end")
    (schedule,) = client.read_deployment(deployment).schedules
    client.update_deployment_schedule(deployment, schedule.id, active=False)
    wait_until(lambda: not runs(StateType.PENDING, StateType.RUNNING), "no run to be under way")
    assert [run.state.type for run in ended if run.state] == [StateType.COMPLETED]
    assert ended[0].auto_scheduled
    state = ended[0].state
    assert state is not None
    assert str(state.message).startswith(
        f"5 images: 3 edited, 1 skipped, 1 failed; {place}/unfinished/_runs/"
    )
    (run_id,) = (
        path.parent.name for path in (place / "unfinished").glob("_runs/*-0001/ledger/00001.0000.parquet")
    )
    logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[ended[0].id])))
    lines = [log.message for log in logs if "is closed as it stands" in log.message]
    assert len(lines) == 1
    assert run_id not in lines[0], "the new run is not the one that was closed"
