"""What keeps a node of a cluster from the work."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from flows.runtime.nodes import NEEDED, OLDEST, NodeReport, code_digest, differences, report

WANTED = NodeReport("3.11", dict.fromkeys(NEEDED, "1.0") | {"torch": "2.14.1", "pillow": "13.0"}, "digest")


def having(**versions: str | None) -> NodeReport:
    return replace(WANTED, versions=WANTED.versions | versions)


def test_this_process_can_do_its_own_work() -> None:
    mine = report([])
    assert mine.code == code_digest()
    assert None not in mine.versions.values()
    assert differences(report([]), mine) == []


@pytest.mark.parametrize(
    ("found", "gpus", "problem"),
    [
        (replace(WANTED, python="3.12"), 0, "it has Python 3.12, 3.11 is wanted"),
        (having(torch="2.13.0"), 0, "it has torch 2.13.0, 2.14.1 is wanted"),
        (having(torch="2.14.1+cpu"), 2, "it has 2 GPUs, but its torch 2.14.1+cpu is built without CUDA"),
        (replace(WANTED, code="other"), 0, "its workers import other code of attgan than this process"),
    ],
)
def test_a_node_that_cannot_work_says_why(found: NodeReport, gpus: float, problem: str) -> None:
    assert differences(found, WANTED, gpus=gpus) == [problem]


@pytest.mark.parametrize(
    ("found", "gpus"), [(having(torch="2.14.1+cu128"), 2), (having(numpy="3", pillow="14.1"), 1)]
)
def test_how_torch_was_built_and_other_versions_of_the_rest_do_not_matter(
    found: NodeReport, gpus: float
) -> None:
    assert differences(found, WANTED, gpus=gpus) == []


def test_what_a_node_needs_at_least_is_what_is_installed_at_least() -> None:
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    for name, version in OLDEST.items():
        assert f"{name}>={version}" in project["dependencies"]
