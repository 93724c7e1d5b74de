"""Tasks that die, and flows that wait for them: for a driver of its own, whose workers import this module too."""

import os
import signal
import time
from collections.abc import Sequence

from prefect import flow, runtime, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

from flows.runtime.cluster import connection, tasks
from tests.support.waiting import wait_until


@task(name="live-or-die", task_run_name="{name}")
def live_or_die(name: str, seconds: float = 0, shown: Sequence[str] = (), dies: bool = False) -> str:
    """End, or die, after so many seconds, and once the server shows the tasks with these names as running."""
    time.sleep(seconds)
    if shown:
        wait_until(lambda: _running() >= set(shown), f"the server to show {shown} as running")
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def _running() -> set[str]:
    """The names of this flow run's tasks that the server shows as running."""
    only = FlowRunFilter.model_validate({"id": {"any_": [runtime.flow_run.id]}})
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=only)
    return {run.name for run in runs if run.state is not None and run.state.is_running()}


@flow(name="dying", task_runner=tasks.task_runner())
def dying(calls: list[dict[str, object]]) -> dict[str, str]:
    """Run them all; returns how each one ended."""
    connection.connect_ray()
    ended = tasks.run_tasks(live_or_die, calls, cpus=1, gpus=0, node_timeout="10m")
    return {str(call["name"]): f"{state.name}: {state.message}" for call, state in ended}


@flow(name="leaving", task_runner=tasks.task_runner())
def leaving(calls: list[dict[str, object]]) -> str:
    """Run them until the first one ends."""
    connection.connect_ray()
    ended = tasks.run_tasks(live_or_die, calls, cpus=1, gpus=0, node_timeout="10m")
    call, _ = next(ended)
    ended.close()
    return str(call["name"])
