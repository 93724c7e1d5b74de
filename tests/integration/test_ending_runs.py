"""Runs that are at work when the stack is taken down: they are cancelled, and none stays `Running`."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import State
from prefect.states import Running

from attgan.errors import UserError
from flows.runtime.running import refusals_as_states, run_from_terminal
from infra.local.ports import free_ports
from infra.local.runs import end_runs
from infra.local.stack import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack

WORK = """
import logging
import sys
import time
from prefect import flow
from flows.runtime.cancelling import RunCancelled, cancel_requests
from flows.runtime.running import refusals_as_states, run_from_terminal

@flow(name="at-work")
@refusals_as_states
def work() -> None:
    with cancel_requests(logging.getLogger()) as cancelled:
        print("begun", flush=True)
        while not cancelled():
            time.sleep(0.1)
        raise RunCancelled(cancelled())

try:
    run_from_terminal(work)
except RunCancelled:
    sys.exit(7)
"""


@flow(name="without-an-end")
def without_an_end() -> None:
    """A run of this flow is only recorded, as of a process that was killed."""


@pytest.fixture
def server(stack: dict[str, str], tmp_path: Path) -> Stack:
    """A stack that has the Prefect server of these tests and nothing else."""
    port = urlsplit(stack["PREFECT_API_URL"]).port
    assert port is not None
    return Stack(tmp_path, "mark", tmp_path, {"prefect": port}, services=("prefect",))


def states_of(name: str) -> list[State]:
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name])))
        return [run.state for run in runs if run.state]


def state_of(name: str) -> list[str]:
    return [state.name for state in states_of(name)]


@pytest.mark.parametrize("by", ["down", "Ctrl-C"])
def test_a_run_of_a_terminal_ends_cancelled(server: Stack, tmp_path: Path, by: str) -> None:
    before = len(state_of("at-work"))
    output = tmp_path / "output"
    with output.open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", WORK],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": "."},
        )
    try:
        wait_until(lambda: "begun" in output.read_text(), "the run to begin")
        if by == "Ctrl-C":
            child.send_signal(signal.SIGINT)
        else:
            assert end_runs(server, report=lambda line: None, seconds=600) >= 1
        assert child.wait(600) == 7
    finally:
        child.kill()
    assert state_of("at-work") == ["Cancelled"] * (before + 1)


def test_a_run_whose_process_is_gone_does_not_stay_running(server: Stack) -> None:
    with get_client(sync_client=True) as client:
        client.create_flow_run(without_an_end, state=Running())
    lines: list[str] = []
    assert end_runs(server, report=lines.append, seconds=1) >= 1
    assert state_of("without-an-end") == ["Crashed"]
    assert end_runs(server, report=lines.append) == 0


def test_a_server_that_does_not_answer_is_no_obstacle(tmp_path: Path) -> None:
    stack = Stack(tmp_path, "mark", tmp_path, free_ports(["prefect"]), services=("prefect",))
    lines: list[str] = []
    assert end_runs(stack, report=lines.append) == 0
    assert lines


@flow(name="refused")
@refusals_as_states
def refused() -> None:
    raise UserError("source-empty", "--source: as a mistyped one")


def test_a_mistake_in_a_terminal_leaves_no_failed_run(stack: dict[str, str]) -> None:
    with pytest.raises(UserError):
        run_from_terminal(refused)
    assert state_of("refused") == ["Refused"]
    assert states_of("refused")[0].is_cancelled()
