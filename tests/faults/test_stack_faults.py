"""A stack whose start fails, or whose processes are killed: nothing may be left running or lying about."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.local import lifecycle
from infra.local.stack import new
from tests.support.processes import answers
from tests.support.servers.leftovers import leftovers, processes_of, record
from tests.support.waiting import LIMIT, wait_until

pytestmark = pytest.mark.fault
INFRA = (sys.executable, "-m", "infra")


@pytest.fixture(autouse=True)
def _stopped_whatever_happens(tmp_path):
    yield
    for path in tmp_path.rglob("state.json"):
        lifecycle.down(path.parent)


def test_ctrl_c_in_the_middle_of_a_start_leaves_nothing(tmp_path):
    starting = _infra("up", "--free-ports", "--dir", tmp_path)
    wait_until(
        lambda: set(record(tmp_path)["processes"]) == {"prefect", "s3", "ray"}, "three services", every=0.05
    )
    state = record(tmp_path)
    wait_until(
        lambda: "gcs_server" in _names(state), "Ray to be in the middle of starting its children", every=0.02
    )
    state = record(tmp_path)
    assert not state["ready"]
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=LIMIT)
    assert starting.returncode == 130
    assert err.splitlines()[-1] == "interrupted: everything that was started is stopped again"
    assert leftovers(state) == []


@pytest.mark.long
def test_start_that_was_killed_is_cleared_by_the_next_one_on_the_same_ports(tmp_path):
    (port,) = lifecycle.free_ports(["s3"]).values()
    words = ("up", "--without", "prefect", "--without", "ray", "--s3-port", port, "--dir", tmp_path)
    starting = _infra(*words)
    wait_until(lambda: "s3" in record(tmp_path)["processes"], "the S3 server to be started", every=0.02)
    killed = record(tmp_path)
    assert not killed["ready"]
    starting.kill()
    starting.wait()
    assert processes_of(killed["mark"])

    _, err = _infra(*words).communicate(timeout=LIMIT)
    second = record(tmp_path)
    assert second["ready"], err
    assert processes_of(killed["mark"]) == []
    assert not Path(killed["scratch"]).exists()
    lifecycle.down(tmp_path)
    assert leftovers(second) == []


def test_service_that_fails_is_named_with_its_log_and_the_others_are_stopped(tmp_path):
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_bytes(b"not a database " * 1000)
    starting = _infra("up", "--free-ports", "--without", "ray", "--dir", tmp_path)
    wait_until(lambda: set(record(tmp_path)["processes"]) == {"prefect", "s3"}, "two services", every=0.05)
    state = record(tmp_path)
    _, err = starting.communicate(timeout=LIMIT)
    assert starting.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith("error: Prefect server: ended during its start; its last line: ")
    assert str(tmp_path / "logs" / "prefect.log") in last
    assert leftovers(state) == []


@pytest.mark.long
def test_port_that_is_lost_in_a_race_fails_that_start_and_others_are_chosen(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as winner:
        honest, draws, attempts = lifecycle.free_ports, [], []

        def unlucky(names, taken):
            draws.append(honest(names, taken) | ({} if draws else {"s3": winner.getsockname()[1]}))
            return draws[-1]

        def watched(stack, *options):
            attempts.append(stack)
            start(stack, *options)

        start = lifecycle.start
        monkeypatch.setattr(lifecycle, "free_ports", unlucky)
        monkeypatch.setattr(lifecycle, "start", watched)
        with lifecycle.running(tmp_path, ("s3",), report=lambda line: None):
            assert record(tmp_path)["ports"] == draws[1]
            first = attempts[0]
            assert processes_of(first.mark) == []
            assert not first.scratch.exists()
    assert len(attempts) == 2
    assert leftovers(vars(attempts[1])) == []


def test_down_clears_everything_after_its_parents_were_killed(tmp_path):
    # `run` is killed, and so is the parent of all of Ray's processes: orphans, which only the mark finds.
    running = _infra("run", "--free-ports", "--without", "prefect", "--dir", tmp_path, "--", "sleep", "987")
    wait_until(lambda: _sleeps(record(tmp_path)), "the command to run")
    state = record(tmp_path)
    running.kill()
    running.wait()
    assert {"weed", "gcs_server", "raylet", "sleep"} <= _names(state)
    psutil.Process(state["processes"]["ray"]["pid"]).kill()

    status = subprocess.run([*INFRA, "status", "--dir", tmp_path], capture_output=True, text=True)
    assert status.returncode == 1
    assert [line for line in status.stdout.splitlines() if line.startswith("S3 ") and " healthy " in line]

    down = subprocess.run([*INFRA, "down", "--dir", tmp_path], capture_output=True, text=True, timeout=LIMIT)
    assert down.returncode == 0, down.stderr
    assert leftovers(state) == []


# Starts two stacks; Ctrl-C and a killed parent stand above.
@pytest.mark.long
def test_terminated_run_leaves_nothing_neither_of_itself_nor_of_one_that_was_killed_before(tmp_path):
    words = ("run", "--free-ports", "--without", "prefect", "--without", "ray", "--", "sleep", "987")
    killed = _infra(*words, cwd=tmp_path)
    wait_until(lambda: _sleeps(record(_only(tmp_path))), "the command to run")
    first = record(_only(tmp_path))
    killed.kill()
    killed.wait()

    terminated = _infra(*words, cwd=tmp_path)
    wait_until(lambda: leftovers(first) == [], "what was killed to be cleared")
    wait_until(lambda: _sleeps(record(_only(tmp_path, but=first["folder"]))), "the command to run")
    second = record(_only(tmp_path, but=first["folder"]))
    terminated.terminate()
    terminated.communicate(timeout=LIMIT)
    assert terminated.returncode == 128 + signal.SIGTERM
    assert leftovers(second) == []


def test_stranger_with_a_recorded_number_is_not_killed(tmp_path):
    with subprocess.Popen(["sleep", "987"], start_new_session=True) as stranger:
        try:
            stack = new(tmp_path, lifecycle.free_ports(lifecycle.S3_PORTS), ("s3",))
            stack.processes["s3"] = lifecycle.processes.Process(stranger.pid, time.time() - 3600)
            stack.ready = True
            stack.save()
            # As `up` does, when the machine has been restarted meanwhile.
            lifecycle.clear(tmp_path)
            assert stranger.poll() is None
            assert leftovers(vars(stack)) == []
        finally:
            stranger.kill()


def _infra(*words: object, cwd: Path | None = None) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [*INFRA, *map(str, words)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _only(parent: Path, but: str = "") -> Path:
    found = [path for path in (parent / ".local").glob("run-*") if str(path) != but]
    if not found:
        raise FileNotFoundError("no stack is being started yet")
    (folder,) = found
    return folder


def _names(state: dict) -> set[str]:
    return set(answers(psutil.Process.name, processes_of(state["mark"])))


def _sleeps(state: dict) -> bool:
    return any("987" in words for words in answers(psutil.Process.cmdline, processes_of(state["mark"])))
