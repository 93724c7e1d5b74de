"""The Dockerfile: accepted as it is, refused with one wrong line."""

import os
import re
from pathlib import Path

import pytest

from attgan.version import VERSION
from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, Unavailable
from tests.support.cluster_image import DOCKERFILE, instructions


def _problems(file: Path) -> list[str]:
    try:
        return cluster_files.problems_of_dockerfile(file)
    except Unavailable as missing:
        pytest.skip(str(missing))


def test_version_is_this_one() -> None:
    named = re.findall(r"attgan:(\d[\w.]*)", (CLUSTER / "Dockerfile").read_text())
    assert set(named) == {VERSION}


def test_dockerfile_is_accepted() -> None:
    assert _problems(CLUSTER / "Dockerfile") == []


@pytest.mark.parametrize("package", ["procps", "wget", "openssh-client", "rsync"])
def test_programs_that_others_call_are_in_the_image(package: str) -> None:
    (command,) = (rest for name, rest in instructions(DOCKERFILE.read_text()) if "apt-get install" in rest)
    assert package in command.split()


@pytest.mark.parametrize("name", ["ray-node", "prefect-worker"])
def test_commands_of_this_folder_are_in_the_path(name: str) -> None:
    assert os.access(CLUSTER / name, os.X_OK)
    assert f"ln -s /opt/attgan/infra/cluster/{name} .venv/bin/{name}" in DOCKERFILE.read_text()


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("USER 1000:1000", "USER root"),
        ("WORKDIR /opt/attgan", "WORKDIR opt/attgan"),
        ("--no-install-recommends ", ""),
        ("debian:bookworm-slim", "debian"),
        ("COPY flows flows", "COPPY flows flows"),
    ],
)
def test_wrong_line_of_the_dockerfile_is_refused(tmp_path: Path, good: str, bad: str) -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    assert good in text
    file = tmp_path / "Dockerfile"
    file.write_text(text.replace(good, bad, 1))
    assert _problems(file)
