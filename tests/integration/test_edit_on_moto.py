"""Shards against another S3 server than the local stack's: it takes keys that SeaweedFS refuses."""

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.prepared_run import prepare
from flows.edit.shard.child import IsolationError
from flows.edit.shard.isolation import edit_shard_in_isolation
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings, InitSettings
from flows.storage import join
from flows.training.weights import init
from tests.support.images.pictures import noise, opened, saved
from tests.support.refusals import refused
from tests.support.servers.breaking_proxy import BreakingProxy

KEYS = [
    "../up.jpg",
    "a//b.jpg",
    "./here.jpg",
    "plain.jpg",
    "no_extension",
    "tab\there.jpg",
    "per%2Fcent.jpg",
    "ünï 😀.jpg",
]


@pytest.fixture
def bucket(moto_server: dict[str, str], fresh_bucket: Callable[[dict[str, str]], str]) -> str:
    name = fresh_bucket(moto_server)
    init(InitSettings(destination=f"s3://{name}/bundle", image_size=64, width=4))
    for key in KEYS:
        boto3.client("s3").put_object(Bucket=name, Key=f"in/{key}", Body=saved(noise(1)))
    return f"s3://{name}"


@pytest.mark.long
def test_a_storage_that_hangs_is_nobodys_row(
    bucket: str, moto_server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EditSettings(
        source=join(bucket, "in"),
        destination=join(bucket, "out"),
        bundle=join(bucket, "bundle"),
        max_images=2,
        faces="aligned",
        stall_timeout=5,
    )
    prepared = prepare(resolve(settings))
    with BreakingProxy(moto_server["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.plan("hang", forever=True, only=r"GET \S*/in/\S")
        with pytest.raises(IsolationError):
            edit_shard_in_isolation(prepared.run.url, 0, settings)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server["AWS_ENDPOINT_URL"])
    assert not finished_shards(prepared.store)


def edited(bucket: str, destination: str) -> dict[str, str]:
    """Edit everything in this process; the status of each key."""
    bundle, source = join(bucket, "bundle"), join(bucket, "in")
    settings = EditSettings(
        source=source, destination=destination, bundle=bundle, shard_size=3, faces="aligned"
    )
    prepared = prepare(resolve(settings))
    for shard in range(prepared.run.shards):
        edit_shard(prepared.run.url, shard, settings)
    tables = [read_rows(prepared.store, key) for key in finished_shards(prepared.store).values()]
    return {row["key"]: row["status"] for table in tables for row in table.to_pylist()}


def test_every_key_that_s3_allows_is_edited_under_its_own_name(bucket: str) -> None:
    assert edited(bucket, join(bucket, "out")) == dict.fromkeys(KEYS, "edited")
    name = bucket.removeprefix("s3://")
    for key in KEYS:
        found = boto3.client("s3").get_object(Bucket=name, Key=f"out/{key}")
        assert opened(found["Body"].read()).shape == (218, 178, 3)
        assert found["ContentType"] == "image/jpeg"
    assert edited(bucket, join(bucket, "out")) == dict.fromkeys(KEYS, "edited")


def test_a_key_cannot_leave_a_folder_on_disk(bucket: str, tmp_path: Path) -> None:
    fates = edited(bucket, str(tmp_path / "deep" / "out"))
    assert fates["../up.jpg"] == "failed"
    assert fates["plain.jpg"] == "edited"
    outside = [path for path in tmp_path.rglob("*.jpg") if not path.is_relative_to(tmp_path / "deep" / "out")]
    assert outside == []


def test_an_object_that_is_refused_is_a_row_and_expired_credentials_stop_the_run(
    bucket: str, moto_server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = dict.fromkeys(KEYS, "edited")
    with BreakingProxy(moto_server["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        for number, (fault, only) in enumerate(
            [
                ("403 InvalidObjectState", r"GET \S*/in/plain\.jpg"),
                ("403 AccessDenied", r"PUT \S*/plain\.jpg"),
            ]
        ):
            proxy.plan(fault, forever=True, only=only)
            assert edited(bucket, join(bucket, f"out{number}")) == usual | {"plain.jpg": "failed"}
        out = join(bucket, "out")
        proxy.plan("403 ExpiredToken", forever=True, only=r"GET \S*/in/plain\.jpg")
        with refused("aws-credentials-refused"):
            edited(bucket, out)
        proxy.plan()
        assert edited(bucket, out) == usual
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server["AWS_ENDPOINT_URL"])
