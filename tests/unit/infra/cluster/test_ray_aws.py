"""The cluster on EC2: accepted by Ray as it is."""

from attgan.version import VERSION
from flows.runtime.cluster.autoscaler import NodeType, Size, limits_of
from tests.support import cluster_files
from tests.support.cluster_files import CLUSTER, documents

CONTENT = documents(CLUSTER / "ray-aws.yaml")[0]


def test_file_is_accepted() -> None:
    assert cluster_files.problems_of_ray_config(CONTENT) == []


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
    assert "/home/attgan/.ray/auth_token" in CONTENT["file_mounts"]
    # Ray would otherwise make a role that may do everything.
    assert all(
        "IamInstanceProfile" in node["node_config"] for node in CONTENT["available_node_types"].values()
    )
