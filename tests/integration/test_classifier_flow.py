"""A classifier trained through the flow, and an edit that asks it, on real Prefect, Ray and S3 servers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort

from attgan.models import load_bundle
from flows.edit.flow import edit
from flows.edit.ledger import finished_shards, read_rows
from flows.runtime.running import run_from_terminal
from flows.settings import ClassifierSettings, EditSettings, InitSettings
from flows.storage import join, open_store
from flows.training.flow import train_classifier
from flows.training.weights import init
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.images.pictures import noise, saved
from tests.support.refusals import refused

pytestmark = pytest.mark.stack


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str], tmp_path: Path) -> str:
    """The URL of a bucket with a dataset of 60 drawn faces, a small bundle and three images."""
    url = f"s3://{fresh_bucket()}"
    write_drawn_dataset(tmp_path, 60)
    store = open_store(url)
    for path in tmp_path.iterdir():
        store.put(f"dataset/{path.name}", path.read_bytes())
    for i in range(3):
        store.put(f"in/{i}.jpg", saved(noise(i)))
    init(InitSettings(destination=join(url, "bundle"), image_size=64, width=2))
    return url


def run_training(bucket: str, **options: Any) -> dict[str, Any]:
    places = {name: join(bucket, name) for name in ("dataset", "bundle")} | {
        "destination": join(bucket, "seeing")
    }
    usual = {"max_steps": 40, "batch_size": 8, "width": 2, "cpus": 1}
    settings = ClassifierSettings.model_validate(places | usual | options)
    result: dict[str, Any] = run_from_terminal(train_classifier, settings=settings)
    return result


async def read_artifacts() -> dict[str | None, Any]:
    async with get_client() as client:
        (last,) = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        only = FlowRunFilter.model_validate({"id": {"any_": [last.id]}})
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(), flow_run_filter=only)
        return {artifact.key: artifact for artifact in found}


def test_a_classifier_is_trained_and_then_asked(bucket: str) -> None:
    result = run_training(bucket)
    filesystem, path = open_store(result["bundle"]).filesystem()
    bundle = load_bundle(path, filesystem)
    assert bundle.digest == result["digest"]
    assert bundle.classifier is not None
    assert len(result["scores"]) == 13
    artifacts = asyncio.run(read_artifacts())
    assert artifacts["train-classifier-progress"].data == 100
    assert "data:image/png;base64," in artifacts["train-classifier-curves"].data
    assert "Eyeglasses" in artifacts["train-classifier-result"].data

    again = run_training(bucket)
    assert again == result, "a finished run is recognised"
    with refused("run-settings-differ") as caught:
        run_training(bucket, batch_size=16)
    assert "\n" not in str(caught.value)

    places = {"source": join(bucket, "in"), "destination": join(bucket, "out"), "bundle": result["bundle"]}
    places["faces"] = "aligned"
    report = run_from_terminal(edit, settings=EditSettings.model_validate(places))
    assert report["attributes_from"] == {"classifier": 3}
    store = open_store(join(bucket, "out", "_runs", report["run_id"]))
    rows = [row for key in finished_shards(store).values() for row in read_rows(store, key).to_pylist()]
    assert [len(row["predicted"]) for row in rows] == [13] * 3
