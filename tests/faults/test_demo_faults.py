"""Ctrl-C on the demo: its own servers go with it, and nobody else's are touched."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.local import lifecycle
from tests.support.processes import answers
from tests.support.servers.leftovers import leftovers, processes_of
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.fault, pytest.mark.long]
# A whole environment of the user's own, which the demo must neither use nor pass on.
NOT_FOR_THE_DEMO = {
    "PREFECT_API_URL": "http://127.0.0.1:9/api",
    "RAY_ADDRESS": "127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "mine",
    "AWS_SECRET_ACCESS_KEY": "mine",
    "ATTGAN_DEMO_OWNER": "1",
}


@pytest.mark.parametrize(
    "whole_group",
    [pytest.param(False, id="one process"), pytest.param(True, id="as a terminal does")],
)
def test_ctrl_c_leaves_nothing_of_the_demo(tmp_path: Path, whole_group: bool) -> None:
    terminal, keyboard = os.openpty()
    log = tmp_path / "log"
    own = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.cli", "demo", "--images", "100000"],
            cwd=tmp_path,
            env={**os.environ, **NOT_FOR_THE_DEMO, **own},
            stdin=keyboard if whole_group else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def writes_its_images() -> bool:
        assert demo.poll() is None, log.read_text()
        return "1. 100,000 drawn faces" in log.read_text()

    try:
        wait_until(writes_its_images, lambda: f"the demo's first step: {log.read_text()}")
        (path,) = tmp_path.glob(".local/run-*/state.json")
        state = json.loads(path.read_text())
        commands = answers(psutil.Process.cmdline, processes_of(state["mark"]))
        assert any("flows.cli" in words for words in commands)
        if whole_group:
            os.killpg(demo.pid, signal.SIGINT)
        else:
            demo.send_signal(signal.SIGINT)
        demo.wait(LIMIT)
        printed = log.read_text()
        assert demo.returncode == 128 + signal.SIGINT, printed
        assert "this command's servers" in printed.splitlines()[0]
        assert printed.splitlines()[-1] == "interrupted: everything that was started is stopped again"
        assert "Traceback" not in printed
        assert leftovers(state) == []
    finally:
        demo.kill()
        # Until it has ended it holds the lock of its stack.
        demo.wait()
        for path in tmp_path.rglob("state.json"):
            lifecycle.down(path.parent)
        os.close(terminal)
        os.close(keyboard)
