"""What stands under an output's key on S3, and what becomes of it: ours, older ours, somebody else's, or a race."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from flows.edit.job import resolve
from flows.edit.ledger import Summary, finished_shards, read_rows
from flows.edit.plan.prepared_run import NothingToDo, PreparedRun, prepare
from flows.edit.run import FINGERPRINT, LINEAGE, SOURCE_ETAG
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings, InitSettings
from flows.storage import Store, join, open_store
from flows.training.weights import init
from tests.support.images.pictures import noise, saved

pytestmark = pytest.mark.stack


@pytest.fixture
def bucket(s3_server: dict[str, str], fresh_bucket: Callable[..., str]) -> str:
    url = f"s3://{fresh_bucket(s3_server)}"
    init(InitSettings(destination=f"{url}/bundle", image_size=64, width=4))
    open_store(f"{url}/in").put("a.jpg", saved(noise(0)))
    return url


def planned(bucket: str, **options: Any) -> PreparedRun:
    places = {name: join(bucket, folder) for name, folder in (("source", "in"), ("destination", "out"))}
    usual = {"bundle": join(bucket, "bundle"), "faces": "aligned"}
    found = prepare(resolve(EditSettings.model_validate(places | usual | options)))
    assert not isinstance(found, NothingToDo)
    return found


def done(prepared: PreparedRun) -> tuple[Summary, dict[str, Any]]:
    summary = edit_shard(prepared.run.url, 0, prepared.run.settings)
    (key,) = finished_shards(prepared.store).values()
    return summary, read_rows(prepared.store, key).to_pylist()[0]


def output(bucket: str) -> Any:
    return (
        boto3.session.Session().client("s3").head_object(Bucket=bucket.removeprefix("s3://"), Key="out/a.jpg")
    )


def test_an_output_says_who_made_it_of_what_and_how(bucket: str) -> None:
    prepared = planned(bucket)
    _, row = done(prepared)
    head = output(bucket)
    assert head["Metadata"] == {
        FINGERPRINT: prepared.run.fingerprint,
        LINEAGE: prepared.run.lineage,
        SOURCE_ETAG: row["source_etag"],
        "attgan-model": prepared.run.made_of["bundle"],
        "attgan-edit": "Eyeglasses=1@1",
    }
    assert row["output_etag"] == head["ETag"].strip('"')


def test_an_attempt_that_was_killed_before_its_ledger_is_found_done(bucket: str) -> None:
    prepared = planned(bucket)
    first, row = done(prepared)
    assert first.found == 0
    prepared.store.delete("ledger/00000.0000.parquet")
    again, same = done(prepared)
    assert (again.found, again.counts["edited"]) == (1, 1)
    assert same == row


def test_what_an_attempt_made_of_earlier_content_is_replaced(bucket: str) -> None:
    """Killed between PUT and ledger; then the source changed: the second attempt edits what is there now."""
    prepared = planned(bucket)
    _, row = done(prepared)
    prepared.store.delete("ledger/00000.0000.parquet")
    open_store(f"{bucket}/in").put("a.jpg", saved(noise(5)))
    again, newer = done(prepared)
    assert (again.found, newer["status"]) == (0, "edited")
    assert newer["source_etag"] != row["source_etag"]
    assert newer["output_etag"] == output(bucket)["ETag"].strip('"') != row["output_etag"]


def test_a_straggler_does_not_put_its_older_edit_over_the_newer_one(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = planned(bucket)
    open_store(f"{bucket}/in").put("a.jpg", saved(noise(5)))
    # The newer content, by another attempt.
    done(prepared)
    newer = output(bucket)["ETag"]
    prepared.store.delete("ledger/00000.0000.parquet")
    from flows.edit import job

    real = job.open_store

    class Straggler:
        """Fetched before the source was replaced."""

        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def get(self, key: str) -> Any:
            fetched = self._store.get(key)
            return fetched._replace(data=saved(noise(0)), etag="older") if key == "a.jpg" else fetched

    monkeypatch.setattr(job, "open_store", lambda url, **options: Straggler(real(url, **options)))
    _, row = done(prepared)
    assert (row["status"], row["reason"]) == (
        "skipped",
        "the source has changed while it was edited; the next run edits it",
    )
    assert output(bucket)["ETag"] == newer


@pytest.mark.parametrize(("rule", "status"), [("skip", "skipped"), ("overwrite", "edited")])
def test_an_output_of_another_source_is_not_ours(bucket: str, rule: str, status: str) -> None:
    """Two sources have another image under the same key, and are edited alike into one place."""
    done(planned(bucket))
    first = output(bucket)["ETag"]
    open_store(f"{bucket}/other").put("a.jpg", saved(noise(5)))
    _, row = done(planned(bucket, source=f"{bucket}/other", on_existing=rule))
    assert row["status"] == status
    assert (output(bucket)["ETag"] == first) == (rule == "skip")


@pytest.mark.parametrize(
    ("rule", "status"), [("skip", "skipped"), ("fail", "failed"), ("overwrite", "edited")]
)
def test_somebody_elses_object(bucket: str, rule: str, status: str) -> None:
    open_store(f"{bucket}/out").put("a.jpg", b"somebody's only copy", metadata={"owner": "somebody"})
    _, row = done(planned(bucket, on_existing=rule))
    assert row["status"] == status
    kept = open_store(f"{bucket}/out").get("a.jpg").data == b"somebody's only copy"
    assert kept == (rule != "overwrite")


def test_what_is_replaced_is_what_was_looked_at(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look and our write somebody puts another object there: it is looked at again."""
    from flows.edit import job

    out = open_store(f"{bucket}/out")
    out.put("a.jpg", b"first")
    real = job.open_store
    looks = []

    class Racing:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def head(self, key: str) -> Any:
            info = self._store.head(key)
            looks.append(info.etag)
            if key == "a.jpg" and len(looks) == 1:
                out.put("a.jpg", b"second")
            return info

    monkeypatch.setattr(job, "open_store", lambda url, **options: Racing(real(url, **options)))
    _, row = done(planned(bucket, on_existing="overwrite"))
    assert row["status"] == "edited"
    assert len(looks) == 2
