"""Processes die of an image or a signal, again and again: runs end, nothing is lost, the server knows of each end."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.states import Cancelling

from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings, InitSettings
from flows.storage import open_store
from flows.training.weights import init
from tests.support.images.pictures import noise, saved
from tests.support.processes import find_processes, kill_all, ray_tasks
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.timeout(1800)]


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> str:
    url = f"s3://{fresh_bucket()}"
    init(InitSettings(destination=f"{url}/bundle", image_size=64, width=4))
    return url


def put_inputs(bucket: str, count: int, poison: dict[int, str]) -> None:
    """So many images ``000.jpg`` …, of which some kill a poisoned decoder."""
    store = open_store(f"{bucket}/in")
    for i in range(count):
        comment = f"poison:{poison[i]}" if i in poison else "a picture"
        store.put(f"{i:03d}.jpg", saved(noise(i), comment=comment.encode()))


@contextlib.contextmanager
def driver(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python in a process group of its own, gone at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], start_new_session=True, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def edit_command(bucket: str, shard_size: int) -> list[str]:
    places = [f"--source={bucket}/in", f"--destination={bucket}/out", f"--bundle={bucket}/bundle"]
    sizes = [f"--shard-size={shard_size}", "--batch-size=4", "--faces=aligned", "--run-id=run"]
    return ["-m", "flows.cli", "edit", *places, *sizes]


def at_work(stack: dict[str, str]) -> list[psutil.Process]:
    """This stack's processes that edit: Ray's workers with a shard, and the children of those."""
    return [*ray_tasks(stack["RAY_AUTH_TOKEN_PATH"], "edit-shard", "isolate-shard"), *children(stack)]


def children(stack: dict[str, str]) -> list[psutil.Process]:
    token = stack["RAY_AUTH_TOKEN_PATH"]
    return find_processes(
        lambda one: (
            "flows.edit.shard.isolated" in one.cmdline() and one.environ().get("RAY_AUTH_TOKEN_PATH") == token
        )
    )


def flow_run(name: str) -> FlowRun:
    """The newest run of a flow."""
    with get_client(sync_client=True) as client:
        only = FlowFilter.model_validate({"name": {"any_": [name]}})
        return client.read_flow_runs(flow_filter=only, sort="START_TIME_DESC", limit=1)[0]


def task_runs(of: FlowRun, *names: str) -> dict[str, TaskRun]:
    """What the server knows of a flow run's tasks once all that it knows of, these among them, have ended."""
    only = FlowRunFilter.model_validate({"id": {"any_": [of.id]}})

    def read() -> dict[str, TaskRun]:
        with get_client(sync_client=True) as client:
            return {run.name: run for run in client.read_task_runs(flow_run_filter=only)}

    def ended() -> dict[str, TaskRun] | None:
        found = read()
        all_ended = all(run.state is not None and run.state.is_final() for run in found.values())
        return found if all_ended and found.keys() >= set(names) else None

    return wait_until(
        ended, lambda: f"tasks to end: { {name: run.state_name for name, run in read().items()} }"
    )


def outputs(url: str) -> dict[str, bytes]:
    store = open_store(url)
    return {info.key: store.get(info.key).data for info in store.list() if not info.key.startswith("_")}


def undisturbed(bucket: str) -> dict[str, bytes]:
    """What the run writes when nothing dies: made in this process, whose decoder is not poisoned."""
    places = {"source": "in", "destination": "undisturbed", "bundle": "bundle"}
    settings = {name: f"{bucket}/{folder}" for name, folder in places.items()} | {
        "batch_size": 4,
        "faces": "aligned",
    }
    prepared = prepare(resolve(EditSettings.model_validate(settings)))
    assert isinstance(prepared, PreparedRun)
    for shard in range(prepared.run.shards):
        edit_shard(prepared.run.url, shard, prepared.run.settings)
    return outputs(f"{bucket}/undisturbed")


def test_an_image_that_kills_its_workers_is_a_row_of_a_run_that_completes(
    stack: dict[str, str], bucket: str, tmp_path: Path
) -> None:
    put_inputs(bucket, 16, {9: "crash"})
    with driver(tmp_path / "log", *edit_command(bucket, 8)) as process:
        assert process.wait(500) == 0, (tmp_path / "log").read_text()
    assert not at_work(stack)

    run = open_store(f"{bucket}/out/_runs/run")
    report = json.loads(run.get("report.json").data)
    assert report["counts"] == {"edited": 15, "copied": 0, "skipped": 0, "failed": 1}
    assert (report["shards"], report["shards_isolated"]) == (2, 1)
    expected = {"009.jpg": "the process that edited it was killed (SIGSEGV)"}
    assert {failure["key"]: failure["reason"] for failure in report["failures"]} == expected
    rows = [row for key in finished_shards(run).values() for row in read_rows(run, key).to_pylist()]
    assert len(rows) == len({row["key"] for row in rows}) == 16
    failed = {row["key"]: (row["stage"], row["attempts"]) for row in rows if row["status"] == "failed"}
    assert failed == dict.fromkeys(expected, ("process", 2))
    made = undisturbed(bucket)
    assert outputs(f"{bucket}/out") == {key: data for key, data in made.items() if key not in expected}
    log = (tmp_path / "log").read_text()
    assert "1 of 2 shards ran again in isolation" in log
    assert (
        "its process died, also at a second attempt (WorkerCrashedError); it runs again in isolation" in log
    )

    ended = flow_run("edit")
    assert ended.state_name == "Completed"
    known = task_runs(ended, "shard-00000", "isolate-00001")
    states = {name: task.state_name for name, task in known.items()}
    assert states["shard-00000"] == states["isolate-00001"] == "Completed"
    assert set(states.values()) <= {"Completed", "Crashed"}


@pytest.mark.long
def test_a_shard_that_hangs_is_ended_and_then_isolated(
    stack: dict[str, str], bucket: str, tmp_path: Path
) -> None:
    put_inputs(bucket, 6, {3: "hang"})
    options = ["--stall-timeout=20", "--max-failed-share=0.5"]
    with driver(tmp_path / "log", *edit_command(bucket, 6), *options) as process:
        assert process.wait(LIMIT) == 0, (tmp_path / "log").read_text()
    assert not at_work(stack)
    report = json.loads(open_store(f"{bucket}/out/_runs/run").get("report.json").data)
    assert report["counts"] == {"edited": 5, "copied": 0, "skipped": 0, "failed": 1}
    assert report["shards_isolated"] == 1
    assert [(failure["key"], failure["stage"]) for failure in report["failures"]] == [("003.jpg", "process")]


@pytest.mark.long
def test_kills_at_random_are_lived_through(stack: dict[str, str], bucket: str, tmp_path: Path) -> None:
    put_inputs(bucket, 48, {})
    chance = random.Random(5)
    kills = 0
    with driver(tmp_path / "log", *edit_command(bucket, 4)) as process:
        wait_until(lambda: at_work(stack), (tmp_path / "log").read_text)
        while kills < 12 and process.poll() is None:
            time.sleep(chance.uniform(0.2, 1.0))
            for victim in chance.sample(found := at_work(stack), min(1, len(found))):
                kill_all([victim])
                kills += 1
        ended = process.wait(500)
    assert kills >= 3
    # A shard was hit four times.
    if ended != 0:
        assert "the same command resumes" in (tmp_path / "log").read_text()
        with driver(tmp_path / "log", *edit_command(bucket, 4)) as process:
            assert process.wait(500) == 0, (tmp_path / "log").read_text()
    assert not at_work(stack)
    assert outputs(f"{bucket}/out") == undisturbed(bucket)
    report = json.loads(open_store(f"{bucket}/out/_runs/run").get("report.json").data)
    assert report["counts"] == {"edited": 48, "copied": 0, "skipped": 0, "failed": 0}
    task_runs(flow_run("edit"))


@pytest.mark.long
@pytest.mark.parametrize("how", ["cancel", "SIGTERM", "SIGKILL"])
def test_a_run_that_is_ended_during_isolation_leaves_no_process(
    stack: dict[str, str], bucket: str, tmp_path: Path, how: str
) -> None:
    put_inputs(bucket, 8, dict.fromkeys(range(8), "crash"))
    with driver(tmp_path / "log", *edit_command(bucket, 8)) as process:
        wait_until(lambda: children(stack), (tmp_path / "log").read_text, every=0.05)
        if how == "cancel":
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(flow_run("edit").id, Cancelling())
        else:
            process.send_signal(signal.Signals[how])
        process.wait(LIMIT)
    wait_until(lambda: not at_work(stack), "all processes to end")
    assert not finished_shards(open_store(f"{bucket}/out/_runs/run"))
    if how == "cancel":
        assert flow_run("edit").state_name == "Cancelled"


# Seconds of starting processes; that the server knows of each end of an edit's tasks stands above.
@pytest.mark.long
def test_the_server_is_told_of_tasks_that_died_or_were_left(stack: dict[str, str], tmp_path: Path) -> None:
    calls = [
        {"name": "dies late", "shown": ["dies late"], "dies": True},
        # When the server has heard of it at most.
        {"name": "dies soon", "seconds": 0.5, "dies": True},
        {"name": "lives", "seconds": 0.5},
    ]
    program = (
        "import sys, json; from tests.support.dying_tasks import *; print('->', {}(json.loads(sys.argv[1])))"
    )
    with driver(tmp_path / "log", "-c", program.format("dying"), json.dumps(calls)) as process:
        assert process.wait(LIMIT) == 0, (tmp_path / "log").read_text()
    died = "its process died, also at a second attempt (WorkerCrashedError)"
    (told,) = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("-> ")]
    assert f"'dies late': 'Crashed: {died}'" in told
    assert f"'dies soon': 'Crashed: {died}'" in told
    seen = task_runs(flow_run("dying"), "lives", "dies late")
    assert seen["lives"].state_name == "Completed"
    assert seen["dies late"].state is not None
    assert (seen["dies late"].state.name, seen["dies late"].state.message) == ("Crashed", died)

    calls = [{"name": "ends", "shown": ["stays"]}, {"name": "stays", "seconds": LIMIT}]
    with driver(tmp_path / "log", "-c", program.format("leaving"), json.dumps(calls)) as process:
        assert process.wait(LIMIT) == 0, (tmp_path / "log").read_text()
    states = {name: run.state_name for name, run in task_runs(flow_run("leaving"), "ends", "stays").items()}
    assert states == {"ends": "Completed", "stays": "Cancelled"}
