"""The subset flow through a real Prefect server, Ray cluster and S3 server."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort

from attgan.attributes import CELEBA
from attgan.data.manifest import from_bytes
from attgan.data.shards import open_dataset
from flows.dataset.subset import subset
from flows.runtime.running import run_from_terminal
from flows.settings import SubsetSettings
from flows.storage import join, open_store
from tests.support.data.celeba_folder import GLASSES, attributes, image_ids, write_folder

pytestmark = pytest.mark.stack
BROKEN = {"000007.jpg": b"", "000021.jpg": b"\xff\xd8\xff no picture"}


@pytest.fixture
def bucket(stack: dict[str, str], fresh_bucket: Callable[[], str], tmp_path: Path) -> str:
    """The URL of a bucket with a source of 60 rows below ``celeba/``: 5 images missing, 2 that do not open."""
    url = f"s3://{fresh_bucket()}"
    folder = write_folder(tmp_path / "celeba", rows=60, positives=18, missing=5, instead=BROKEN)
    store = open_store(join(url, "celeba"))
    for path in folder.rglob("*.*"):
        store.put(str(path.relative_to(folder)), path.read_bytes())
    return url


def run(bucket: str, name: str, **options: Any) -> dict[str, Any]:
    usual = {
        "source": join(bucket, "celeba"),
        "subset": "all",
        "rows_per_part": 12,
        "max_unreadable_share": 0.1,
    }
    settings = SubsetSettings.model_validate(usual | {"destination": join(bucket, name)} | options)
    shown: dict[str, Any] = run_from_terminal(subset, settings=settings)
    return shown


async def read_artifacts() -> dict[str | None, Any]:
    async with get_client() as client:
        (last,) = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        only = FlowRunFilter.model_validate({"id": {"any_": [last.id]}})
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(), flow_run_filter=only)
        return {artifact.key: artifact for artifact in found}


def files(bucket: str, name: str) -> dict[str, bytes]:
    store = open_store(join(bucket, name))
    return {info.key: store.get(info.key).data for info in store.list()}


def test_a_dataset_on_s3_that_everyone_reads(bucket: str, tmp_path: Path) -> None:
    shown = run(bucket, "dataset")
    assert (shown["rows"], shown["chosen"], shown["unreadable"], shown["missing"]) == (53, 55, 2, 5)
    store = open_store(join(bucket, "dataset"))
    dataset = open_dataset(*store.filesystem())
    tables = [dataset.read(index) for index in range(5)]
    names = [name for table in tables for name in table.column("image_id").to_pylist()]
    left_out = [image.image_id for image in dataset.manifest.unreadable]
    assert sorted(left_out) == sorted(BROKEN)
    assert sorted(names + left_out) == image_ids(55)

    rows = [image_ids(60).index(name) for name in names]
    expected = int(attributes(60, 18)[rows, GLASSES].sum())
    assert {a.name: a.rows for a in dataset.manifest.attributes}["Eyeglasses"] == expected
    for name, data in files(bucket, "dataset").items():
        (tmp_path / name).write_bytes(data)
    query = f"select count(*) filter (where Eyeglasses), count(*) from '{tmp_path}/part-*.parquet'"
    assert duckdb.sql(query).fetchall() == [(expected, 53)]
    frame = pd.read_parquet(sorted(tmp_path.glob("part-*.parquet")))
    np.testing.assert_array_equal(frame[list(CELEBA)].to_numpy(), attributes(60, 18)[rows])

    artifacts = asyncio.run(read_artifacts())
    assert artifacts["subset-progress"].data == 100
    assert "Eyeglasses" in artifacts["subset-attributes"].data
    assert "000007.jpg" in artifacts["subset-unreadable"].data
    assert "53" in artifacts["subset-counts"].data
    assert "data:image/jpeg;base64," in artifacts["subset-faces"].data


def test_too_many_unreadable_images_stop_it_and_a_higher_limit_goes_on(bucket: str) -> None:
    with pytest.raises(Exception, match=r"--max-unreadable-share 0\.02: 2 of 55 images cannot be used"):
        run(bucket, "dataset", max_unreadable_share=0.02)
    left = files(bucket, "dataset")
    assert "manifest.json" not in left
    shown = run(bucket, "dataset", max_unreadable_share=0.05)
    assert shown["rows"] == 53
    whole = files(bucket, "dataset")
    assert {name: whole[name] for name in left} == left
    assert from_bytes(whole["manifest.json"], "").counts.unreadable == 2
