"""The edit job loses its driver or a worker in mid-run: the same command ends it, with the same bytes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flows.edit.ledger import finished_shards
from flows.edit.preparation import prepare
from flows.edit.shard import edit_shard
from flows.settings import EditSettings, InitSettings
from flows.storage import open_store
from flows.weights import init
from tests.pictures import noise, saved

pytestmark = [pytest.mark.stack, pytest.mark.fault]

IMAGES, SHARD = 160, 10


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> str:
    url = f"s3://{fresh_bucket()}"
    init(InitSettings(destination=f"{url}/bundle", image_size=128, width=8))
    store = open_store(f"{url}/in")
    for i in range(IMAGES):
        store.put(f"{i:03d}.jpg", saved(noise(i)))
    return url


def command(bucket: str, destination: str) -> list[str]:
    places = [
        "--source",
        f"{bucket}/in",
        "--destination",
        f"{bucket}/{destination}",
        "--bundle",
        f"{bucket}/bundle",
    ]
    return [
        sys.executable,
        "-m",
        "flows.cli",
        "edit",
        *places,
        "--paste",
        "whole",
        "--shard-size",
        str(SHARD),
        "--run-id",
        "run",
    ]


@pytest.fixture
def started(bucket: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The job in a process group of its own, caught in mid-run: some shards are done, most are not."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command(bucket, "out"), start_new_session=True, stdout=log, stderr=log)
    try:
        wait_until(lambda: len(ledgers(bucket)) >= 3, (tmp_path / "log").read_text)
        assert len(ledgers(bucket)) < IMAGES // SHARD
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ledgers(bucket: str) -> dict[int, str]:
    return finished_shards(open_store(f"{bucket}/out/_runs/run"))


def wait_until(condition: Callable[[], bool], explain: Callable[[], str] = str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


def outputs(bucket: str, destination: str) -> dict[str, bytes]:
    store = open_store(f"{bucket}/{destination}")
    return {info.key: store.get(info.key).data for info in store.list() if not info.key.startswith("_")}


def undisturbed(bucket: str) -> dict[str, bytes]:
    """What the job writes when nothing happens to it, made in this process."""
    places = {
        name: f"{bucket}/{folder}" for name, folder in (("source", "in"), ("destination", "undisturbed"))
    }
    prepared = prepare(EditSettings.model_validate(places | {"bundle": f"{bucket}/bundle", "paste": "whole"}))
    for shard in range(prepared.run.shards):
        edit_shard(prepared.run.url, shard, prepared.run.settings)
    return outputs(bucket, "undisturbed")


def shard_workers(stack: dict[str, str]) -> list[psutil.Process]:
    """The processes of this stack's Ray that are running a shard now."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("RAY_AUTH_TOKEN_PATH") == stack["RAY_AUTH_TOKEN_PATH"]
            if ours and process.cmdline()[:1] == ["ray::edit-shard"]:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kill_one(stack: dict[str, str]) -> bool:
    """Kill a process that is running a shard, if there is one just now."""
    for process in shard_workers(stack)[:1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False


def test_a_killed_driver_frees_the_cluster_and_the_same_command_ends_the_run(
    bucket: str, stack: dict[str, str], started: subprocess.Popen[bytes]
) -> None:
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    wait_until(lambda: not shard_workers(stack), seconds=30)
    done_before = set(ledgers(bucket).values())
    assert 3 <= len(done_before) < IMAGES // SHARD
    subprocess.run(command(bucket, "out"), check=True, capture_output=True)
    assert len(ledgers(bucket)) == IMAGES // SHARD
    assert done_before <= set(ledgers(bucket).values())
    assert outputs(bucket, "out") == undisturbed(bucket)
    assert len(outputs(bucket, "out")) == IMAGES


def test_a_killed_worker_is_not_noticed(
    bucket: str, stack: dict[str, str], started: subprocess.Popen[bytes]
) -> None:
    wait_until(lambda: kill_one(stack))
    assert started.wait(timeout=120) == 0
    assert len(ledgers(bucket)) == IMAGES // SHARD
    assert outputs(bucket, "out") == undisturbed(bucket)


def test_ctrl_c_ends_it_cleanly_and_frees_the_cluster(
    bucket: str, stack: dict[str, str], started: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(timeout=30) == 130
    wait_until(lambda: not shard_workers(stack), seconds=30)
    last = (tmp_path / "log").read_text().strip().splitlines()[-1]
    assert last.startswith("attgan: failed: interrupted")
