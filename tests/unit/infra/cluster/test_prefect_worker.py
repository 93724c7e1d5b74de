"""The command that runs Prefect's worker beside Ray, with stand-ins for both."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster_files import CLUSTER
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("pkill") is None, reason="procps is not installed")

_RAY = """#!/bin/sh
[ "$*" = "health-check --address 127.0.0.1:6379" ] && [ -e ray-is-up ]
"""
# A worker with one run. It notes each moment at which it could start another, and how it ends, as Prefect's does.
_PREFECT = f"""#!{sys.executable}
import pathlib, signal, subprocess, sys, time

def end(*_):
    pathlib.Path("ended").write_text("before its run" if run.poll() is None else "after its run")
    sys.exit(0)

signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, end)
run = subprocess.Popen(["./run"])
pathlib.Path("arguments").write_text(" ".join(sys.argv[1:]))
while not pathlib.Path("break").exists():
    pathlib.Path("polled").write_text(str(time.monotonic()))
    time.sleep(0.02)
run.kill()
sys.exit(3)
"""
_RUN = f"""#!{sys.executable}
import pathlib, signal, sys, time

def stop(*_):
    polled = pathlib.Path("polled")
    before = polled.read_text()
    time.sleep(0.5)
    pathlib.Path("checkpoint").write_text("alone" if polled.read_text() == before else "beside others")
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
pathlib.Path("running").touch()
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    for name, text in {"ray": _RAY, "prefect": _PREFECT, "run": _RUN}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "RAY_ADDRESS": "127.0.0.1:6379",
    }
    process = subprocess.Popen(
        [CLUSTER / "prefect-worker", "--pool", "mine"],
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    yield process
    # With what it may have left.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def started(folder: Path) -> None:
    (folder / "ray-is-up").touch()
    wait_until((folder / "running").exists, "the run")
    wait_until((folder / "polled").exists, "the worker")


def test_worker_waits_for_ray(worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(1.5)
    assert not (tmp_path / "arguments").exists()
    started(tmp_path)
    assert (tmp_path / "arguments").read_text() == "worker start --type process --pool mine"


def test_sigterm_ends_it_while_it_waits(worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.5)
    worker.terminate()
    assert worker.wait(30) == 143
    assert not (tmp_path / "arguments").exists()


def test_runs_end_before_the_worker_which_starts_no_more(
    worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    started(tmp_path)
    worker.terminate()
    assert worker.wait(60) == 0
    assert (tmp_path / "checkpoint").read_text() == "alone"
    assert (tmp_path / "ended").read_text() == "after its run"


def test_it_fails_as_the_worker_does(worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "break").touch()
    assert worker.wait(30) == 3


def test_it_needs_the_address_of_ray() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ended = subprocess.run([CLUSTER / "prefect-worker"], env=environment, capture_output=True, timeout=60)
    assert ended.returncode != 0
    assert b"RAY_ADDRESS" in ended.stderr
