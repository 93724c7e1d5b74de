"""The edit flow through a real Prefect server, Ray cluster and S3 server."""

import asyncio
import json
import secrets
from typing import Any

import boto3
import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort

from attgan.errors import CapReached
from flows.edit.flow import edit
from flows.edit.ledger import finished_shards, read_rows
from flows.evaluation.preview import write_preview
from flows.runtime.running import run_from_terminal
from flows.settings import EditSettings, InitSettings, PreviewSettings
from flows.storage import join, open_store
from flows.training.weights import init
from tests.support.images.pictures import noise, opened, saved
from tests.support.refusals import refused

pytestmark = pytest.mark.stack

ODD_KEYS = [
    "with space.jpg",
    "ünï😀.jpg",
    "per%2Fcent.jpg",
    "plus+hash#q?.jpg",
    "tab\there.jpg",
]
BROKEN = {"truncated.jpg": saved(noise(9))[:2000], "empty.jpg": b"", "text.png": b"I am not an image"}


@pytest.fixture(scope="module")
def bucket(stack: dict[str, str]) -> str:
    """The URL of a bucket with a small bundle and some images, odd and broken ones among them."""
    name = f"edits-{secrets.token_hex(4)}"
    boto3.client("s3").create_bucket(Bucket=name)
    init(InitSettings(destination=f"s3://{name}/bundle", image_size=64, width=4))
    client = boto3.client("s3")
    for i in range(20):
        client.put_object(Bucket=name, Key=f"in/sub/{i:03d}.jpg", Body=saved(noise(i)))
    for key in ODD_KEYS:
        client.put_object(Bucket=name, Key=f"in/{key}", Body=saved(noise(1)))
    for key, data in BROKEN.items():
        client.put_object(Bucket=name, Key=f"in/{key}", Body=data)
    return f"s3://{name}"


@pytest.fixture(scope="module")
def edited(bucket: str) -> dict[str, Any]:
    """The report of an edit of all of them into ``out``."""
    return run(bucket)


def run(bucket: str, **options: Any) -> dict[str, Any]:
    places = {name: join(bucket, folder) for name, folder in (("source", "in"), ("destination", "out"))}
    usual = places | {
        "bundle": join(bucket, "bundle"),
        "faces": "aligned",
        "paste": "whole",
        "shard_size": 8,
        "max_failed_share": 0.2,
    }
    settings = EditSettings.model_validate(usual | options)
    report: dict[str, Any] = run_from_terminal(edit, settings=settings)
    return report


def objects(bucket: str, folder: str) -> dict[str, bytes]:
    client, name = boto3.client("s3"), bucket.removeprefix("s3://")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=f"{folder}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    found = {key: client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}
    return {key.removeprefix(f"{folder}/"): data for key, data in found.items() if "/_" not in key}


def test_every_key_is_accounted_for(bucket: str, edited: dict[str, Any]) -> None:
    report = edited
    assert report["counts"] == {"edited": 25, "copied": 0, "skipped": 0, "failed": 3}
    assert report["inputs"] == 28
    written = objects(bucket, "out")
    assert set(written) == set(objects(bucket, "in")) - set(BROKEN)
    for key in ("sub/000.jpg", *ODD_KEYS):
        pixels = opened(written[key])
        assert pixels.shape == (218, 178, 3)
        original = opened(objects(bucket, "in")[key]).astype(int)
        assert np.abs(pixels[:20] - original[:20]).mean() < 2, "above the face only JPEG's own loss"
        assert np.abs(pixels[60:160, 40:140] - original[60:160, 40:140]).mean() > 5

    store = open_store(join(bucket, "out", "_runs", report["run_id"]))
    assert json.loads(store.get("report.json").data)["counts"] == report["counts"]
    rows = [row for key in finished_shards(store).values() for row in read_rows(store, key).to_pylist()]
    assert len(rows) == 28
    assert {row["key"]: row["reason"] for row in rows if row["status"] == "failed"}.keys() == BROKEN.keys()
    head = boto3.client("s3").head_object(Bucket=bucket.removeprefix("s3://"), Key="out/sub/000.jpg")
    assert head["Metadata"]["attgan-fingerprint"] == report["fingerprint"]
    assert head["ContentType"] == "image/jpeg"


def test_the_ui_shows_progress_tables_and_a_picture(edited: dict[str, Any]) -> None:
    async def artifacts_and_tasks() -> tuple[dict[str, Any], int]:
        async with get_client() as client:
            edits = FlowFilter.model_validate({"name": {"any_": ["edit"]}})
            runs = await client.read_flow_runs(flow_filter=edits, sort="START_TIME_DESC", limit=1)
            only = FlowRunFilter.model_validate({"id": {"any_": [runs[0].id]}})
            found = await client.read_artifacts(artifact_filter=ArtifactFilter(), flow_run_filter=only)
            tasks = await client.read_task_runs(flow_run_filter=only)
            assert runs[0].state is not None
            assert runs[0].state.is_completed()
            return {str(artifact.key): artifact for artifact in found}, len(tasks)

    artifacts, tasks = asyncio.run(artifacts_and_tasks())
    assert tasks == 4, "one task per shard"
    assert artifacts["edit-progress"].data == 100.0
    assert "28 of 28 images (100%)" in artifacts["edit-progress"].description
    assert json.loads(artifacts["edit-counts"].data)[-1]["images"].startswith("28 ")
    assert {row["stage"] for row in json.loads(artifacts["edit-stages"].data)} >= {"fetch", "edit", "put"}
    assert "data:image/jpeg;base64," in artifacts["edit-before-after"].data
    assert any("truncated" in row["what"] for row in json.loads(artifacts["edit-reasons"].data))


def test_the_page_of_a_run_shows_failed_and_edited_images_and_needs_nothing_else(
    bucket: str, edited: dict[str, Any]
) -> None:
    report = edited
    page = write_preview(PreviewSettings(run=join(bucket, "out"), images=10))
    assert (page["images"], page["left_out"]) == (10, 18)
    assert page["page"] == join(bucket, "out", "_runs", report["run_id"], "preview.html")
    text = open_store(join(bucket, "out", "_runs", report["run_id"])).get("preview.html").data.decode()
    assert text.count('<figure data-status="failed"') == 3, "those come first"
    assert text.count('<figure data-status="edited"') == 7
    assert text.count("<img") == 14, "before and after"
    assert "http://" not in text
    assert "https://" not in text
    without = write_preview(
        PreviewSettings(run=join(bucket, "out"), output=join(bucket, "p.html"), no_faces=True)
    )
    assert without["images"] == 28
    assert "<img" not in open_store(bucket).get("p.html").data.decode()


def test_a_run_that_a_deadline_ends_is_continued(bucket: str) -> None:
    place = {"destination": join(bucket, "late")}
    with pytest.raises(CapReached) as reached:
        run(bucket, **place, deadline="0s")
    assert reached.value.code == "deadline-reached"
    report = run(bucket, **place, max_rate=1000)
    assert report["inputs"] == 28
    with get_client(sync_client=True) as client:
        last, before = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=2)
    assert [flow_run.state_name for flow_run in (before, last)] == ["Stopped", "Completed"]


def test_too_many_failures_are_a_failed_run_with_everything_listed(bucket: str) -> None:
    with pytest.raises(Exception, match=r"3 of 28 images failed, more than --max-failed-share 0\.05 allows"):
        run(bucket, destination=join(bucket, "strict"), run_id="strict", max_failed_share=0.05)
    assert open_store(join(bucket, "strict", "_runs", "strict")).get("report.json").data


def test_a_users_mistakes_are_one_line(bucket: str) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"source": "s3://no-such-bucket-here/in"}, "bucket-missing"),
        ({"source": join(bucket, "nothing-here")}, "source-empty"),
        ({"bundle": join(bucket, "in")}, "bundle-missing"),
        ({"gpus_per_shard": 1}, "cluster-too-small"),
    ]
    for options, code in mistakes:
        with refused(code) as caught:
            run(bucket, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.seaweedfs(reason="moto lets anybody in")
def test_wrong_credentials_are_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with refused("aws-credentials-refused") as caught:
        run(bucket, destination=join(bucket, "refused"))
    assert "not-the-secret" not in str(caught.value)
