"""Work on a cluster elsewhere: two nodes without our packages, which share nothing but the S3 server."""

import json
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import boto3
import pytest

from flows.storage import open_store
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import codes_in
from tests.support.servers.two_nodes import TwoNodes, two_nodes

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def nodes(stack: dict[str, str]) -> Iterator[TwoNodes]:
    with two_nodes(stack) as running:
        yield running


@pytest.fixture(scope="module")
def bucket(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a bucket with a small dataset of drawn faces."""
    name = "two-nodes"
    boto3.session.Session().resource("s3").Bucket(name).create()
    folder = tmp_path_factory.mktemp("dataset")
    write_drawn_dataset(folder, 40)
    store = open_store(f"s3://{name}/dataset")
    for path in folder.iterdir():
        store.put(path.name, path.read_bytes())
    return f"s3://{name}"


REACH = """
import os
from flows.runtime.cluster import connection, nodes
connection.connect_ray()
nodes.require_reachable({"--dataset": "s3://somewhere/else", "--bundle": "default"}, os.path.expanduser("~/new/folder"))
nodes.require_reachable({"--dataset": f"/proc/self/task/{os.getpid()}"})
"""


# A package whose version on the nodes changes after they have been checked, as that of a node that joins later.
LATE = """
import pathlib, sys
from prefect import flow
from flows.edit.flow import edit_shard_task
from flows.runtime.cluster import connection, tasks
from flows.settings import EditSettings

@flow(task_runner=tasks.task_runner())
def late():
    installed = pathlib.Path(sys.argv[1])
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\\nName: simplejpeg\\nVersion: 0.1\\n")
    call = {"run_url": "/out/_runs/none", "shard": 0, "settings": EditSettings(source="/in", destination="/out")}
    list(tasks.run_tasks(edit_shard_task, [call], cpus=1, gpus=0, node_timeout="10m"))

late()
"""


def test_our_packages_go_to_the_nodes_with_the_job(nodes: TwoNodes, bucket: str) -> None:
    small = [
        "--size=64",
        "--width=2",
        "--batch-size=8",
        "--max-steps=4",
        "--cpus=1",
        "--strategy=permutation",
    ]
    places = [f"--dataset={bucket}/dataset", f"--destination={bucket}/trained"]
    nodes.output("train", *places, *small, "--attributes=Eyeglasses", "--attributes=Male")
    assert json.loads(open_store(f"{bucket}/trained").get("result.json").data)["step"] == 4


def test_a_folder_that_a_node_does_not_see_is_refused(nodes: TwoNodes) -> None:
    said = nodes.output("-c", REACH, code=1).strip().splitlines()[-1]
    assert codes_in(said) == ["node-lacks-folder"]
    assert "--dataset /proc/self/task/" in said


def test_a_node_with_another_torch_is_named_before_anything_is_submitted(
    nodes: TwoNodes, bucket: str
) -> None:
    # Only the build label differs, as between builds for CPUs and for CUDA.
    version = f"{metadata.version('torch').partition('+')[0]}+another"
    installed = _packages_of(nodes) / "torch"
    installed.mkdir()
    (installed / "__init__.py").touch()
    (installed / "version.py").write_text(f"__version__ = '{version}'\n")
    try:
        said = nodes.output("train", f"--dataset={bucket}/dataset", f"--destination={bucket}/refused", code=2)
    finally:
        shutil.rmtree(installed)
    assert codes_in(said) == ["node-unfit"]
    assert re.search(r"(head|worker) \(\S+\)", said)
    assert f"torch {version}" in said
    assert not list(open_store(f"{bucket}/refused").list())


# A rare race; that an unfit node is refused stands above.
@pytest.mark.long
def test_a_node_that_joins_with_another_version_gets_no_task(nodes: TwoNodes) -> None:
    installed = _packages_of(nodes) / "simplejpeg-0.1.dist-info"
    try:
        said = nodes.output("-c", LATE, str(installed), code=1)
    finally:
        shutil.rmtree(installed)
    assert codes_in(said.strip().splitlines()[-1]) == ["node-unfit"]


def _packages_of(nodes: TwoNodes) -> Path:
    (site,) = nodes.python.parents[1].glob("lib/python*/site-packages")
    return site
