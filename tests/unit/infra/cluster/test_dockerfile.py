"""The Dockerfile: accepted as it is."""

import re
from pathlib import Path

import pytest

from attgan.version import VERSION
from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, Unavailable


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
