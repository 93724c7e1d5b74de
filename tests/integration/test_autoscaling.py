"""Work on a cluster that has a head without CPUs, and an autoscaler that starts and stops real nodes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.settings import InitSettings
from flows.training.weights import init
from tests.support.finished_sweep import make_places
from tests.support.images.pictures import noise, saved
from tests.support.processes import kill_all
from tests.support.refusals import codes_in
from tests.support.servers.two_nodes import FAKE_HEAD_NODE_ID, TwoNodes, autoscaled
from tests.support.waiting import LIMIT, wait_until

pytestmark = pytest.mark.stack

NODES = """
import json, ray
ray.init(logging_level="ERROR", log_to_driver=False)
print(json.dumps({node["NodeID"]: node["Alive"] for node in ray.nodes()}))
"""


# Ray recognises a machine of its cluster by the processes that run there.
ELSEWHERE = """
import ray._private.services
ray._private.services.find_node_ids = lambda: []
from flows.runtime.cluster import connection
connection.connect_ray()
"""


# Minutes of waiting for nodes that start and idle: one version, one refusal and one edit are in `make test`.
@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.long), 2])
def cluster(stack: dict[str, str], request: pytest.FixtureRequest) -> Iterator[TwoNodes]:
    """With the autoscaler of `ray up`, and with the second version, which KubeRay uses."""
    with autoscaled(stack, {"cpu-worker": ({"CPU": 1}, 2)}, version=request.param) as running:
        yield running


def workers(cluster: TwoNodes, *, living: bool) -> int:
    """How many workers the cluster has, or has had."""
    nodes = json.loads(cluster.output("-c", NODES).strip().splitlines()[-1])
    return sum(name != FAKE_HEAD_NODE_ID and (alive or not living) for name, alive in nodes.items())


def wait_until_none_is_left(cluster: TwoNodes) -> None:
    wait_until(lambda: workers(cluster, living=True) == 0, lambda: "idle nodes to be taken away")


def edit(images: Path, destination: Path) -> list[str]:
    """The command that edits the images."""
    places = [f"--source={images}/in", f"--destination={destination}", f"--bundle={images}/bundle"]
    return ["edit", *places, "--faces=aligned", "--paste=whole", "--shard-size=1"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small bundle and eight images."""
    folder = tmp_path_factory.mktemp("images")
    init(InitSettings(destination=str(folder / "bundle"), image_size=64, width=4))
    (folder / "in").mkdir()
    for i in range(8):
        (folder / "in" / f"{i}.jpg").write_bytes(saved(noise(i)))
    return folder


def test_a_gpu_that_no_node_type_has_is_refused_at_once(
    cluster: TwoNodes, images: Path, tmp_path: Path
) -> None:
    said = cluster.output(*edit(images, tmp_path), "--gpus-per-shard=1", code=2)
    assert set(codes_in(said)) == {"node-type-missing"}


@pytest.mark.long
def test_a_driver_that_is_no_node_of_the_cluster_is_told_where_to_run(
    cluster: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray looks for the node for a minute.
    monkeypatch.setitem(cluster.environment, "RAY_gcs_server_request_timeout_seconds", "2")
    said = cluster.output("-c", ELSEWHERE, code=1).strip().splitlines()[-1]
    assert codes_in(said) == ["driver-outside-cluster"]


def test_an_edit_starts_without_workers_and_leaves_none(
    cluster: TwoNodes, images: Path, tmp_path: Path
) -> None:
    said = cluster.output(*edit(images, tmp_path))
    assert re.search(r"waiting for a node .* up to 2 cpu-worker; 0 s", said)
    assert len(list(tmp_path.glob("*.jpg"))) == 8
    # A fast machine has ended the run before the second node has joined.
    wait_until(lambda: workers(cluster, living=False) >= 2, lambda: "the second node to join")
    wait_until_none_is_left(cluster)


@pytest.mark.long
def test_an_edit_survives_a_node_that_is_taken_away(cluster: TwoNodes, images: Path, tmp_path: Path) -> None:
    before = cluster.log.stat().st_size
    driver = cluster.start(*edit(images, tmp_path))
    wait_until(lambda: b" of 8 images" in cluster.log.read_bytes()[before:], lambda: "the first image")
    raylets = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "raylet"
        and any(cluster.folder.name in word for word in process.info["cmdline"])
        and not any(FAKE_HEAD_NODE_ID in word for word in process.info["cmdline"])
    ]
    kill_all(raylets)
    assert raylets
    assert driver.wait(LIMIT) == 0, cluster.log.read_bytes()[before:].decode()
    assert len(list(tmp_path.glob("*.jpg"))) == 8


@pytest.mark.long
def test_a_sweep_starts_without_workers_and_leaves_none(cluster: TwoNodes, tmp_path: Path) -> None:
    places = make_places(tmp_path)
    options = [f"--dataset={places.dataset}", f"--bundle={places.bundle}", f"--evaluator={places.evaluator}"]
    options += ["--space=lambda_reconstruction=10,100", "--batch-size=8", "--max-steps=4", "--test-faces=6"]
    options += ["--discriminator-steps=1", "--checks-per-epoch=3", "--validation-images=8"]
    wait_until_none_is_left(cluster)
    said = cluster.output("sweep", *options, f"--destination={tmp_path}/sweep")
    assert "2 trials, 2 finished" in said
    wait_until_none_is_left(cluster)
