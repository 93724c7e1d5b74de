"""Tasks that die, and flows that wait for them: for a driver of its own, whose workers import this module too."""

import os
import signal
import time

from prefect import flow, task

from flows import cluster


@task(name="live-or-die", task_run_name="{name}")
def live_or_die(name: str, seconds: float, dies: bool = False) -> str:
    time.sleep(seconds)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


@flow(name="dying", task_runner=cluster.task_runner())
def dying(calls: list[dict[str, object]]) -> dict[str, str]:
    """Run them all; returns how each one ended."""
    cluster.connect_ray()
    ended = cluster.run_tasks(live_or_die, calls, cpus=1, gpus=0, parallel=2)
    return {str(call["name"]): f"{state.name}: {state.message}" for call, state in ended}


@flow(name="leaving", task_runner=cluster.task_runner())
def leaving(calls: list[dict[str, object]]) -> str:
    """Run them until the first one ends."""
    cluster.connect_ray()
    ended = cluster.run_tasks(live_or_die, calls, cpus=1, gpus=0, parallel=2)
    call, _ = next(ended)
    ended.close()
    return str(call["name"])
