"""A whole sweep is stopped, or loses processes and servers: it ends as one to which nothing happens.

Each chain of faults strikes one sweep. A fault that ends its command is followed by the same command.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.states import Cancelling

from flows.settings import SweepSettings
from flows.storage import Store, open_store
from flows.sweep.records import read_decisions, read_json, read_trials
from tests.support.finished_sweep import make_places
from tests.support.processes import kill_all, ray_tasks
from tests.support.servers.breaking_proxy import BreakingProxy
from tests.support.servers.own_worker import deploy_once, worker_beside
from tests.support.servers.servers import Servers
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.timeout(1800)]

# One trial at a time, so that what the search suggests and the scheduler decides does not depend on the time.
OPTIONS: dict[str, Any] = {
    "space": ["lambda_reconstruction=log:1:100", "learning_rate=1e-3,1e-9"],
    "search": "optuna",
    "scheduler": "asha",
    "grace_steps": 52,
    "metric": "reconstruction",
    "trials": 3,
    "parallel": 1,
    "batch_size": 8,
    "max_steps": 200,
    "checkpoint_every": 50,
    "patience": 0,
    "discriminator_steps": 1,
    "checks_per_epoch": 1,
    "validation_images": 8,
    "test_faces": 6,
    "epochs": 1000,
}
# Columns of the leaderboard that say where, when and how often something was done.
_OF_A_RUN = ("seconds", "attempts", "node", "bundle")


@dataclass
class Command:
    """A sweep's command while it runs, and what faults need to strike it.

    Attributes:
        process: of the command, the leader of a process group.
        sweep: the sweep's folder.
        proxy: stands before its storage.
        servers: of the stack.
        log: what it prints.
    """

    process: subprocess.Popen[bytes]
    sweep: Store
    proxy: BreakingProxy
    servers: Servers
    log: Path


Moment = Callable[[Store], bool]


@dataclass(frozen=True)
class Fault:
    """What happens to a sweep.

    Attributes:
        strike: makes it happen.
        moment: whether it is time to. By then there is more to do.
        ends: the exit code with which the command ends by it; None if it continues.
    """

    strike: Callable[[Command], None]
    moment: Moment
    ends: int | None = None


def at(trial: int, step: int) -> Moment:
    key = f"trials/{trial:03d}/progress.json"
    return lambda sweep: (read_json(sweep, key) or {}).get("step", 0) >= step


def once_there(key: str) -> Moment:
    return lambda sweep: bool(list(sweep.list(key)))


def trial_processes(servers: Servers) -> list[psutil.Process]:
    """The processes that run a trial now."""
    return ray_tasks(servers.environment["RAY_AUTH_TOKEN_PATH"], "trial")


def interrupt(command: Command) -> None:
    os.killpg(command.process.pid, signal.SIGINT)


def kill_driver(command: Command) -> None:
    os.killpg(command.process.pid, signal.SIGKILL)


def kill_trial(command: Command) -> None:
    kill_all(trial_processes(command.servers))


def restart(server: str, seconds: float) -> Callable[[Command], None]:
    def strike(command: Command) -> None:
        command.servers.kill(server)
        time.sleep(seconds)
        command.servers.start(server)

    return strike


def refuse_storage(command: Command) -> None:
    command.proxy.plan("503", forever=True)
    time.sleep(60)
    assert command.proxy.struck
    command.proxy.plan()


KILLED, INTERRUPTED = -signal.SIGKILL, 128 + signal.SIGINT
ONE_OF_A_KIND = [
    Fault(kill_driver, at(0, 100), KILLED),
    Fault(kill_trial, at(1, 15)),
    Fault(restart("prefect", seconds=2), at(2, 15)),
]
DRIVER_ENDED = [
    Fault(kill_driver, once_there("sweep.json"), KILLED),
    Fault(kill_driver, once_there("trials/000/trial.json"), KILLED),
    Fault(interrupt, at(0, 15), INTERRUPTED),
    Fault(kill_driver, at(0, 60), KILLED),
    Fault(kill_driver, once_there("trials/001/decisions.json"), KILLED),
    Fault(kill_driver, at(2, 150), KILLED),
    Fault(kill_driver, once_there("start/measures.json"), KILLED),
]
SERVERS_GONE = [
    Fault(refuse_storage, at(0, 15)),
    Fault(restart("prefect", seconds=20), at(1, 15)),
    Fault(restart("s3", seconds=60), at(2, 15)),
]


def is_time(command: Command, fault: Fault) -> bool:
    assert command.process.poll() is None, command.log.read_text()
    return fault.moment(command.sweep)


def strike(left: list[Fault], command: Command) -> int:
    """Let faults strike a command until one ends it; returns the exit code with which it is to end."""
    while left:
        fault = left.pop(0)
        wait_until(partial(is_time, command, fault), command.log.read_text, every=0.05)
        fault.strike(command)
        if fault.ends is not None:
            return fault.ends
    return 0


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    places = make_places(tmp_path_factory.mktemp("places"), faces=120)
    return OPTIONS | {"dataset": places.dataset, "bundle": places.bundle, "evaluator": places.evaluator}


@pytest.fixture(scope="module")
def undisturbed(
    stack: dict[str, str], options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with started(f"{folder}/sweep", options, folder / "log") as process:
        assert process.wait(LIMIT) == 0, (folder / "log").read_text()
    return results(open_store(f"{folder}/sweep"))


@pytest.fixture
def sweep(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> Store:
    return open_store(f"s3://{fresh_bucket()}/sweep")


@pytest.fixture
def servers(stack: dict[str, str]) -> Servers:
    return Servers(Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1], stack)


def results(sweep: Store) -> dict[str, Any]:
    """What a sweep comes to: the leaderboard, with the digest of each bundle, and the scheduler's decisions."""
    filesystem, path = sweep.filesystem()
    with filesystem.open_input_file(f"{path}/leaderboard.parquet") as stream:
        rows = pq.read_table(stream).drop_columns(_OF_A_RUN).to_pylist()
    return {"leaderboard": rows, "decisions": [read_decisions(folder) for folder, _ in read_trials(sweep)]}


@contextlib.contextmanager
def started(
    sweep: str, options: dict[str, Any], log: Path, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process group of its own."""
    words = ["sweep", f"--destination={sweep}"]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}={one}" for one in values]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *words],
            env={**os.environ, **variables},
            start_new_session=True,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(ONE_OF_A_KIND, id="one-of-a-kind"),
        pytest.param(DRIVER_ENDED, id="driver-ended", marks=pytest.mark.long),
        pytest.param(SERVERS_GONE, id="servers-gone", marks=pytest.mark.long),
    ],
)
def test_a_disturbed_sweep_ends_as_an_undisturbed_one(
    faults: list[Fault],
    sweep: Store,
    servers: Servers,
    options: dict[str, Any],
    undisturbed: dict[str, Any],
    tmp_path: Path,
) -> None:
    log, left = tmp_path / "log", list(faults)
    log.touch()
    ended = -1
    while ended:
        with (
            BreakingProxy(servers.environment["AWS_ENDPOINT_URL"]) as proxy,
            started(sweep.url, options, log, AWS_ENDPOINT_URL=proxy.url) as process,
        ):
            command = Command(process, sweep, proxy, servers, log)
            expected = strike(left, command)
            ended = process.wait(LIMIT)
            assert ended == expected, log.read_text()
        wait_until(lambda: not trial_processes(servers), "the trials to end with their driver")
    assert not left
    assert results(sweep) == undisturbed


@pytest.mark.long
@pytest.mark.parametrize("moment", [once_there("sweep.json"), at(0, 15)], ids=["early", "in-a-trial"])
def test_a_deployments_sweep_that_is_cancelled_in_the_ui_resumes(
    moment: Moment,
    sweep: Store,
    stack: dict[str, str],
    options: dict[str, Any],
    undisturbed: dict[str, Any],
    tmp_path: Path,
) -> None:
    settings = SweepSettings.model_validate(options | {"destination": sweep.url})
    parameters = {"settings": settings.model_dump(mode="json", exclude_unset=True)}
    log = tmp_path / "log"
    log.touch()
    with worker_beside(stack, log), get_client(sync_client=True) as client:
        deploy_once(client)
        run = run_deployment("sweep/sweep", parameters=parameters, timeout=0)
        wait_until(lambda: moment(sweep), log.read_text)
        client.set_flow_run_state(run.id, Cancelling())
        shown: list[str | None] = []

        def is_cancelled() -> bool:
            state = client.read_flow_run(run.id).state
            assert state is not None
            if shown[-1:] != [state.name]:
                shown.append(state.name)
            return state.is_cancelled()

        wait_until(is_cancelled, lambda: f"{shown}: {log.read_text()}")
        assert shown == ["Cancelling", "Cancelled"]
    assert {record["state"] for _, record in read_trials(sweep)} <= {"waiting", "interrupted"}
    with started(sweep.url, options, log) as process:
        assert process.wait(LIMIT) == 0, log.read_text()
    assert results(sweep) == undisturbed
