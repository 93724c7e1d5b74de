"""Which environments the installer goes on with, which it makes anew, and which it refuses."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from infra.install import install, wanted_digest
from tests.support.refusals import refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment that is complete, as its stamps say."""
    folder = tmp_path / ".venv"
    venv.create(folder, symlinks=True)
    for stamp in (".ready", ".ready-dev"):
        (folder / stamp).write_text(f"{folder}\n{wanted_digest()}\n")
    return folder


@pytest.fixture
def no_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment can be made here."""
    monkeypatch.setattr("infra.install.find_spec", lambda name: None)


@pytest.mark.parametrize("dev", [True])
def test_a_complete_environment_is_left_alone(folder: Path, dev: bool) -> None:
    """It has no pip at all: nothing can be installed."""
    before = sorted(folder.rglob("*"))
    install(folder, dev, python=None)
    install(folder, dev, python=sys.executable)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("no_new_one")
@pytest.mark.parametrize("damage", ["no python", "moved", "interrupted"])
def test_an_environment_that_does_not_work_any_more_is_removed(folder: Path, damage: str) -> None:
    if damage == "no python":
        (folder / "bin" / "python").unlink()
        (folder / "bin" / "python").symlink_to("/nowhere/python3")
    elif damage == "another python":
        configuration = folder / "pyvenv.cfg"
        configuration.write_text(configuration.read_text().replace("version = 3.", "version = 2."))
    elif damage == "moved":
        folder = folder.rename(folder.with_name("elsewhere"))
    else:
        (folder / ".unfinished").touch()
    with refused("venv-module-missing"):
        install(folder, dev=False, python=None)
    assert not folder.exists()


@pytest.mark.parametrize(("version", "python"), [("3.10", None), ("3.99", "python3")])
def test_a_working_environment_of_an_unwanted_python_is_refused_and_kept(
    folder: Path, version: str, python: str | None
) -> None:
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").write_text(f"#!/bin/sh\necho {version}\n")
    (folder / "bin" / "python").chmod(0o755)
    (folder / "pyvenv.cfg").write_text(f"version = {version}.1\n")
    with refused("environment-of-other-python"):
        install(folder, dev=False, python=python)
    assert (folder / ".ready").exists()


@pytest.mark.usefixtures("no_new_one")
def test_other_pins_are_no_reason_for_a_new_environment(folder: Path) -> None:
    (folder / ".ready").write_text(f"{folder}\nof other pins\n")
    (folder / ".ready-dev").unlink()
    installing = [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from infra.install import _is_usable",
    ]
    installing[-1] += "; sys.exit(not _is_usable(Path(sys.argv[1]), None))"
    assert subprocess.run([*installing, str(folder)], cwd=Path(__file__).parents[3]).returncode == 0
