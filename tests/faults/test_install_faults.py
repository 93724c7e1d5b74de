"""Installations that fail or are interrupted: one line, nothing left running, and the next one works.

What is installed is a project of no requirements, so that no index is needed. There is no uv then: pip installs.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.fault
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "nothing"
version = "1.0"
"""
# With the file `fault` beside it, the build does what stands there.
BACKEND = """
import pathlib, zipfile
def build_editable(folder, *settings):
    fault = pathlib.Path("fault")
    if fault.exists():
        exec(fault.read_text())
    with zipfile.ZipFile(pathlib.Path(folder) / "nothing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: nothing\\nVersion: 1.0\\n")
        wheel.writestr("nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("nothing-1.0.dist-info/RECORD", "")
    return "nothing-1.0-py3-none-any.whl"
"""
HANGS = "import time; pathlib.Path('hanging').touch(); time.sleep(600)"
FILLS_THE_DISK = "pathlib.Path('/dev/full').write_text('x')"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "infra").mkdir()
    for path in (Path(__file__).parents[2] / "infra").glob("*.py"):
        shutil.copy(path, tmp_path / "infra")
    (tmp_path / "infra" / "constraints.txt").touch()
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "backend.py").write_text(BACKEND)
    return tmp_path


def start(project: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-Es", "-m", "infra.install"],
        cwd=project,
        env={
            **os.environ,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(installing: subprocess.Popen[str]) -> tuple[int, list[str]]:
    printed, _ = installing.communicate(timeout=300)
    assert "Traceback" not in printed
    return installing.returncode, printed.splitlines()


def test_an_interrupted_installation_leaves_no_process_and_is_done_anew(project: Path) -> None:
    (project / "fault").write_text(HANGS)
    installing = start(project)
    deadline = time.monotonic() + 300
    while not (project / "hanging").exists():
        assert installing.poll() is None, installing.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(installing.pid, signal.SIGINT)
    code, lines = finish(installing)
    assert code == 128 + signal.SIGINT
    assert lines[-1].startswith("interrupted: ")
    assert not [p for p in psutil.process_iter() if str(project) in " ".join(_words(p))]

    (project / "fault").unlink()
    code, lines = finish(start(project))
    assert code == 0, lines
    assert lines[0] == ".venv is created again: its installation was interrupted"
    assert lines[-1].startswith("installed with pip: ")
    assert finish(start(project)) == (0, [])


@pytest.mark.parametrize(
    ("fault", "variables", "line"),
    [
        # Each is half a minute of pip at times; the other one stays for every change.
        pytest.param(FILLS_THE_DISK, {}, "no space is left", marks=pytest.mark.long),
        (
            None,
            {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"},
            "the package index does not answer",
        ),
    ],
    ids=["full disk", "no network"],
)
def test_an_installation_that_fails_says_why_and_takes_nothing_of_the_disk(
    project: Path, fault: str | None, variables: dict[str, str], line: str
) -> None:
    if fault:
        (project / "fault").write_text(fault)
    code, lines = finish(start(project, **variables))
    assert code == 1
    assert lines[-1].startswith("error: ")
    assert line in lines[-1]
    assert not (project / ".venv").exists()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
