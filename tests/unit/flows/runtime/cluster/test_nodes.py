"""What keeps a node of a cluster from the work."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from attgan.data import codec
from attgan.errors import UserError
from flows.runtime.cluster import nodes
from flows.runtime.cluster.nodes import NEEDED, SAME, NodeReport, code_digest, differences, report

WANTED = NodeReport(
    "3.11", dict.fromkeys(NEEDED, "1.0") | {"torch": "2.14.1+cu130", "pillow": "13.0"}, "digest"
)


def having(**versions: str | None) -> NodeReport:
    return replace(WANTED, versions=WANTED.versions | versions)


def test_this_process_can_do_its_own_work() -> None:
    mine = report([])
    assert mine.code == code_digest()
    assert None not in mine.versions.values()
    assert differences(report([]), mine) == []


def test_the_versions_that_decide_the_results_are_those_that_runs_record() -> None:
    """Shards refuse others (:func:`flows.edit.fingerprint.check_versions`), so a node must not have others."""
    decisive = {"torch": torch.__version__} | dict(part.split(" ") for part in codec.VERSION.split(", "))
    assert decisive.items() <= report([]).versions.items()
    assert decisive.keys() <= set(SAME)


@pytest.mark.parametrize(
    ("found", "gpus", "problem"),
    [
        (replace(WANTED, python="3.12"), 0, "it has Python 3.12, 3.11 is wanted"),
        (having(torch="2.13.0"), 0, "it has torch 2.13.0, 2.14.1+cu130 is wanted"),
        (having(torch="2.14.1+cpu"), 0, "it has torch 2.14.1+cpu, 2.14.1+cu130 is wanted"),
        (replace(WANTED, code="other"), 0, "its workers import other code of attgan than this process"),
    ],
)
def test_a_node_that_cannot_work_says_why(found: NodeReport, gpus: float, problem: str) -> None:
    assert differences(found, WANTED, gpus=gpus) == [problem]


def test_a_node_with_gpus_needs_a_torch_with_cuda() -> None:
    node = having(torch="2.14.1+cpu")
    assert differences(node, node, gpus=2) == [
        "it has 2 GPUs, but its torch 2.14.1+cpu is built without CUDA"
    ]


def test_a_worker_checks_its_node_before_its_first_task(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.require_fit.cache_clear()
    mine = report([])
    other = replace(mine, versions=mine.versions | {"pillow": "12.0"})
    monkeypatch.setenv("ATTGAN_WANTED", json.dumps(asdict(other)))
    for _ in range(2):
        with pytest.raises(UserError) as refusal:
            nodes.require_fit()
        assert refusal.value.code == "node-unfit"
    monkeypatch.setenv("ATTGAN_WANTED", nodes.runtime_env()["env_vars"]["ATTGAN_WANTED"])
    nodes.require_fit()
    nodes.require_fit.cache_clear()
