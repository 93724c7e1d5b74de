"""Ctrl-C on the tests themselves: the servers that their fixtures started go with them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local.processes import MARK
from tests.support.servers.leftovers import processes_of

pytestmark = pytest.mark.fault
ROOT = Path(__file__).parents[2]
WAITS = f"""
import time
from pathlib import Path

def test_that_waits(s3_server):
    draft = Path(__file__).with_name("draft")
    draft.write_text(s3_server[{MARK!r}])
    draft.rename(draft.with_name("started"))
    time.sleep(600)
"""


# A terminal that is closed takes the same path as Ctrl-C.
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.long)])
def test_interrupted_tests_leave_no_server(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "test_waiting.py").write_text(WAITS)
    started = tmp_path / "started"
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    tests = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_waiting.py")],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell starts what runs in its background with SIGINT ignored, and Python then leaves it so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 300
        while not started.exists():
            assert tests.poll() is None, tests.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        mark = started.read_text()
        assert processes_of(mark)
        os.killpg(tests.pid, number)
        printed, _ = tests.communicate(timeout=300)
    finally:
        tests.kill()
    assert tests.returncode == pytest.ExitCode.INTERRUPTED, printed
    assert "Traceback" not in printed
    assert processes_of(mark) == []
