"""Ctrl-C on the demo: its own servers go with it, and nobody else's are touched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra import lifecycle
from tests.infra.leftovers import leftovers, processes_of

pytestmark = pytest.mark.fault
# A whole environment of the user's own, which the demo must neither use nor pass on.
NOT_FOR_THE_DEMO = {
    "PREFECT_API_URL": "http://127.0.0.1:9/api",
    "RAY_ADDRESS": "127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "mine",
    "AWS_SECRET_ACCESS_KEY": "mine",
    "ATTGAN_DEMO_OWNER": "1",
}


@pytest.mark.parametrize("whole_group", [False, True], ids=["one process", "as a terminal does"])
def test_ctrl_c_leaves_nothing_of_the_demo(tmp_path: Path, whole_group: bool) -> None:
    terminal, keyboard = os.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.cli", "demo", "--images", "100000"],
        cwd=tmp_path,
        env={**os.environ, **NOT_FOR_THE_DEMO, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=keyboard if whole_group else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        state = _ready(tmp_path, demo)
        assert any("flows.cli" in process.cmdline() for process in processes_of(state["mark"]))
        if whole_group:
            os.killpg(demo.pid, signal.SIGINT)
        else:
            demo.send_signal(signal.SIGINT)
        printed, _ = demo.communicate(timeout=60)
        assert demo.returncode == 128 + signal.SIGINT, printed
        assert "this command's servers are stopped at its end" in printed.splitlines()[0]
        assert printed.splitlines()[-1] == "interrupted: everything that was started has been stopped"
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


def _ready(folder: Path, demo: subprocess.Popen) -> dict:
    """The record of the demo's own stack, once the demo is at work on it."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert demo.poll() is None, demo.communicate()[0]
        for path in folder.glob(".local/run-*/state.json"):
            state = json.loads(path.read_text())
            if state["ready"] and any("flows.cli" in p.cmdline() for p in processes_of(state["mark"])):
                time.sleep(2)  # the demo has loaded its modules, and writes its first images
                return state
        time.sleep(0.1)
    raise AssertionError("the demo's servers took too long")
