"""A training loses its worker or its driver in mid-epoch, or is asked to stop: the end is the same, nothing is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from flows.settings import TrainSettings
from flows.storage import Store, open_store
from flows.training.trial import train_trial
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.processes import ray_tasks
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(1800)]

# The interruptions take up to 75 each where 50 are done in a second.
STEPS = 240
OPTIONS = {
    "size": 64,
    "width": 2,
    "attributes": ["Eyeglasses", "Male"],
    "strategy": "permutation",
    "batch_size": 16,
    "epochs": 100,
    "max_steps": STEPS,
    "checks_per_epoch": 1,
    "checkpoint_every": 10,
    "patience": 0,
    "cpus": 1,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_drawn_dataset(folder, 60)
    return folder


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the training comes to when nothing happens to it."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("undisturbed")
    try:
        train_trial(
            TrainSettings.model_validate({"dataset": str(dataset), "destination": str(folder)} | OPTIONS)
        )
    finally:
        torch.set_num_threads(threads)
    return results(open_store(str(folder)))


@pytest.fixture
def run(stack: dict[str, str], fresh_bucket: Callable[[], str]) -> Store:
    """The place of a run on S3."""
    return open_store(f"s3://{fresh_bucket()}/run")


@contextlib.contextmanager
def started(run: Store, dataset: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process group of its own, caught in mid-training, some steps on."""
    before = step(run)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command(run, dataset), start_new_session=True, stdout=log, stderr=log)
    try:
        wait_until(lambda: before + 4 < step(run), (tmp_path / "log").read_text, every=0.05)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def command(run: Store, dataset: Path) -> list[str]:
    options = [f"--dataset={dataset}", f"--destination={run.url}"]
    for name, value in OPTIONS.items():
        values = value if isinstance(value, list) else [value]
        options += [f"--{name.replace('_', '-')}={one}" for one in values]
    return [sys.executable, "-m", "flows.cli", "train", *options]


def step(run: Store) -> int:
    try:
        return int(json.loads(run.get("progress.json").data).get("step", 0))
    except FileNotFoundError:
        return 0


def results(run: Store) -> dict[str, bytes]:
    """The trained bundle, and all rows of the metrics: the losses of every step and the order of the data."""
    names = ["metrics.jsonl", *(f"bundle/{name}.safetensors" for name in ("generator", "discriminator"))]
    return {name: run.get(name).data for name in names}


def workers(stack: dict[str, str]) -> list[psutil.Process]:
    """The processes of this stack's Ray that train now."""
    return ray_tasks(stack["RAY_AUTH_TOKEN_PATH"], "train")


def test_whatever_ends_driver_or_worker_it_goes_on_and_comes_to_the_same_end(
    run: Store, stack: dict[str, str], dataset: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """The driver is asked to end, a worker is asked to end, the driver is killed, a worker is killed."""
    with started(run, dataset, tmp_path) as driver:
        os.killpg(driver.pid, signal.SIGTERM)
        assert driver.wait(LIMIT) == 128 + signal.SIGTERM, (tmp_path / "log").read_text()
    wait_until(lambda: not workers(stack), "the worker to end with its driver")
    last = (tmp_path / "log").read_text().strip().splitlines()[-1]
    assert last.startswith("attgan: failed: ")
    assert last.endswith("; the same command resumes where it stopped")
    stopped = json.loads(run.get("progress.json").data)
    newest = json.loads(run.get("checkpoints/latest.json").data)["checkpoints"][0]
    assert (stopped["state"], newest["step"]) == ("stopped", stopped["step"])

    with started(run, dataset, tmp_path) as driver:
        (first,) = workers(stack)
        first.terminate()
        first.wait(LIMIT)
        kept = step(run)
        wait_until(lambda: step(run) > kept + 4, (tmp_path / "log").read_text, every=0.05)
        assert driver.poll() is None, "another worker goes on for the same driver"
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    wait_until(lambda: not workers(stack), "the worker to end with its driver")
    assert step(run) < STEPS

    with started(run, dataset, tmp_path) as driver:
        (worker,) = workers(stack)
        worker.kill()
        assert driver.wait(LIMIT) == 0, (tmp_path / "log").read_text()
    assert results(run) == undisturbed
