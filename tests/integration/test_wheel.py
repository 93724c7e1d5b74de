"""A wheel, installed in an empty environment outside the repository: one photograph, the local stack, deployments.

The wheel is installed with nothing else. The packages that it needs are found in this environment through a ``.pth``
file, because to install several gigabytes again takes minutes; what this leaves out is only pip's own resolution.
"""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from attgan.data.codec import Limits, decode
from attgan.drawn_faces.dataset import picture
from attgan.version import VERSION
from tests.support.waiting import LIMIT

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
# What would lead out of the new environment: to this repository, its servers or its settings.
_FORGOTTEN = ("PYTHONPATH", "VIRTUAL_ENV", "ATTGAN_", "PREFECT_", "RAY_", "AWS_")

_IN_SHELL = "import subprocess, sys; sys.exit(subprocess.run(['bash', '-c', sys.argv[1]]).returncode)"


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    wheel: Path
    environment: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment, to its end; returns what it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FORGOTTEN)}
        # The S3 server's program is one of the packages', and found like them.
        kept["PATH"] = os.pathsep.join([kept["PATH"], sysconfig.get_path("scripts")])
        ended = subprocess.run(
            [str(self.environment / "bin" / program), *arguments],
            cwd=self.folder,
            env=kept | {"ATTGAN_CACHE_DIR": str(self.folder / "cache"), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * LIMIT,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
    (folder / "work").mkdir()
    made = Installed(wheel, environment, folder / "work")
    made.run("python", "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", str(wheel))
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def test_the_wheel_has_the_program_and_no_tests(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    record = f"attgan-{VERSION}.dist-info"
    assert {name.split("/")[0] for name in names} == {"attgan", "flows", "infra", record}
    assert "attgan/default_bundle/generator.safetensors" in names


def test_its_own_code_runs_and_says_its_version(installed: Installed) -> None:
    assert installed.run("attgan", "--version").strip() == VERSION
    code = (
        "import attgan.version, importlib.metadata as m; print(attgan.version.__file__, m.version('attgan'))"
    )
    file, version = installed.run("python", "-c", code).split()
    assert Path(file).is_relative_to(installed.environment)
    assert version == VERSION


def test_it_edits_a_photograph(installed: Installed) -> None:
    photo = installed.folder / "photo.jpg"
    photo.write_bytes(picture(3, 1, 0.0))
    printed = installed.run("attgan", "edit", "photo.jpg", "out.jpg")
    assert "out.jpg" in printed
    before, after = (
        decode((installed.folder / name).read_bytes(), Limits()).pixels for name in ("photo.jpg", "out.jpg")
    )
    assert before.shape == after.shape
    assert (before != after).any()


@pytest.fixture
def up(installed: Installed) -> Iterator[str]:
    """What ``attgan up`` printed; the stack is stopped afterwards."""
    try:
        yield installed.run("attgan", "up", "--free-ports", "--cpus=2", "--gpus=0", "--without=dashboard")
    finally:
        installed.run("attgan", "down")


def test_it_starts_a_stack_and_its_deployments_run(installed: Installed, up: str) -> None:
    assert (installed.folder / ".local" / "stack" / "env").exists(), up
    deployed = installed.run("attgan", "deploy")
    for name in ("subset", "align", "train", "train-classifier", "sweep", "pipeline", "edit"):
        assert name in deployed
    assert VERSION in deployed
    assert "0 3 * * *" in installed.run("attgan", "schedule")
    (installed.folder / "in").mkdir()
    for number in range(2):
        (installed.folder / "in" / f"{number}.jpg").write_bytes(picture(number, 1, 0.0))
    installed.run("attgan", "schedule", "edit", "--source=in", "--destination=out")
    # As the README says it for a worker or a client of one's own.
    python = installed.environment / "bin" / "python"
    start = f"{python} -m prefect deployment run edit/edit --watch --watch-interval 1"
    installed.run("python", "-c", _IN_SHELL, f'eval "$({python} -m infra env)" && {start}')
    assert sorted(path.name for path in (installed.folder / "out").glob("*.jpg")) == ["0.jpg", "1.jpg"]
    assert "2 images" in installed.run("attgan", "report", "out")
