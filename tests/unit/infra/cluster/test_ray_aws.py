"""The cluster on EC2: accepted by Ray as it is, refused with one wrong field."""

import copy
from typing import Any

import pytest

from attgan.version import VERSION
from flows.runtime.cluster.autoscaler import NodeType, Size, limits_of
from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, documents

CONTENT = documents(CLUSTER / "ray-aws.yaml")[0]


def test_file_is_accepted() -> None:
    assert cluster_files.problems_of_ray_config(CONTENT) == []


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        (None, "max_worker", 4),
        (None, "head_node_type", "main"),
        ("docker", "images", "attgan"),
        ("provider", "cache_stopped_nodes", "no"),
        ("auth", "ssh_user", 1000),
    ],
)
def test_wrong_field_is_refused(section: str | None, field: str, value: Any) -> None:
    content = copy.deepcopy(CONTENT)
    (content if section is None else content[section])[field] = value
    assert cluster_files.problems_of_ray_config(content)


def test_workers_are_spot_instances_that_start_from_none() -> None:
    worker = CONTENT["available_node_types"]["gpu"]
    assert worker["min_workers"] == 0
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_flows_know_what_the_autoscaler_may_add() -> None:
    limits = limits_of(CONTENT)
    assert limits is not None
    assert limits.types == (NodeType("gpu", Size(8, 1), most=4),)


def test_nodes_have_this_version_a_token_and_no_secret() -> None:
    assert CONTENT["docker"]["image"].endswith(f"/attgan:{VERSION}")
    assert "--env RAY_AUTH_MODE=token" in CONTENT["docker"]["run_options"]
    assert set(CONTENT["file_mounts"]) == {
        "/home/attgan/.ray/auth_token",
        "/home/attgan/.prefect/profiles.toml",
    }
    # Not the user's own profiles: those have keys of other servers.
    assert not any(source.startswith("~/.prefect/") for source in CONTENT["file_mounts"].values())
    # Ray would otherwise make a role that may do everything.
    assert all(
        "IamInstanceProfile" in node["node_config"] for node in CONTENT["available_node_types"].values()
    )


def test_runs_end_before_ray_does() -> None:
    ending, stop, *_, worker = CONTENT["head_start_ray_commands"]
    assert stop == "ray stop"
    assert "prefect-worker " in worker
    assert cluster_files.ends_by(ending, "/bin/bash /opt/attgan/.venv/bin/prefect-worker --pool attgan")
