"""Runs over the same images again: only what is new or changed, only what failed, or all of it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attgan.attributes import CELEBA
from attgan.data.codec.provenance import read_mark
from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan.dry_run import describe
from flows.edit.plan.prepared_run import NothingToDo, PreparedRun, prepare
from flows.edit.plan.runs import show_runs
from flows.edit.report.finish import finish
from flows.edit.report.finished_runs import find_report
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings, ReportSettings
from flows.storage import open_store
from tests.support.images.pictures import noise, opened, saved
from tests.support.refusals import refused

MakeSettings = Callable[..., EditSettings]


def run_all(settings: EditSettings) -> dict[str, Any] | None:
    """What the flow does, in this process: the report, or None where there was nothing to do."""
    prepared = prepare(resolve(settings))
    if isinstance(prepared, NothingToDo):
        return None
    assert isinstance(prepared, PreparedRun)
    new = [
        edit_shard(prepared.run.url, shard, settings, todo.generation)
        for shard, todo in prepared.todo.items()
    ]
    return finish(prepared, new, 1.0)[0]


def put(tmp_path: Path, **images: int) -> None:
    for name, seed in images.items():
        (tmp_path / "in" / f"{name}.jpg").write_bytes(saved(noise(seed)))


def written(tmp_path: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").glob("*.*")
    }


def fates(settings: EditSettings) -> dict[str, tuple[str, str | None]]:
    """Status and reason of every input of the last run."""
    found = find_report(ReportSettings(run=settings.destination))
    store = open_store(found["url"])
    rows = [row for key in finished_shards(store).values() for row in read_rows(store, key).to_pylist()]
    return {row["key"]: (row["status"], row["reason"]) for row in rows}


def test_the_same_again_finds_nothing_to_do(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0, b=1, c=2)
    first = run_all(settings(shard_size=2))
    assert first is not None
    assert (first["counts"]["edited"], first["unchanged"]) == (3, 0)
    before = written(tmp_path)
    assert run_all(settings(shard_size=2)) is None
    assert run_all(settings(shard_size=3, cpus_per_shard=2)) is None, "what decides no bytes is no other wish"
    assert written(tmp_path) == before


def test_a_removed_folder_of_an_old_run_does_not_hide_what_is_new(
    tmp_path: Path, settings: MakeSettings
) -> None:
    put(tmp_path, a=0)
    first = run_all(settings())
    put(tmp_path, b=1)
    run_all(settings())
    assert first is not None
    shutil.rmtree(first["url"])
    put(tmp_path, c=2)
    third = run_all(settings())
    assert third is not None
    assert (tmp_path / "out" / "c.jpg").exists()
    assert third["run_id"].endswith("-0003")


def test_only_what_is_new_or_changed_is_edited(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0, b=1, c=2)
    run_all(settings())
    before = written(tmp_path)
    put(tmp_path, b=7, d=3)
    (tmp_path / "in" / "c.jpg").unlink()
    second = run_all(settings())
    assert second is not None
    assert (second["inputs"], second["unchanged"]) == (2, 1)
    assert fates(settings()) == {"b.jpg": ("edited", None), "d.jpg": ("edited", None)}
    after = written(tmp_path)
    assert set(after) == {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}
    assert (after["a.jpg"], after["c.jpg"]) == (before["a.jpg"], before["c.jpg"])
    assert after["b.jpg"][1] != before["b.jpg"][1], "our own earlier result is replaced"
    assert run_all(settings()) is None


def test_an_output_that_somebody_touched_is_not_replaced_when_its_source_changes(
    tmp_path: Path, settings: MakeSettings
) -> None:
    put(tmp_path, a=0)
    run_all(settings())
    (tmp_path / "out" / "a.jpg").write_bytes(b"retouched by hand")
    put(tmp_path, a=5)
    run_all(settings())
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"retouched by hand"
    status, reason = fates(settings())["a.jpg"]
    assert (status, "another object" in str(reason)) == ("skipped", True)
    run_all(settings(on_existing="overwrite", redo=True))
    assert opened((tmp_path / "out" / "a.jpg").read_bytes()).shape == (218, 178, 3)


def test_an_image_that_was_damaged_for_a_while_is_edited_again(
    tmp_path: Path, settings: MakeSettings
) -> None:
    put(tmp_path, a=0)
    run_all(settings())
    (tmp_path / "in" / "a.jpg").write_bytes(b"damaged")
    run_all(settings())
    put(tmp_path, a=1)
    run_all(settings())
    assert fates(settings())["a.jpg"][0] == "edited"


def test_redo_does_all_again_and_puts_nothing_twice(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0, b=1)
    run_all(settings())
    before = written(tmp_path)
    again = run_all(settings(redo=True))
    assert again is not None
    assert (again["inputs"], again["found"]) == (2, 2)
    assert written(tmp_path) == before
    assert run_all(settings()) is None


def test_another_wish_is_another_lineage(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0)
    run_all(settings())
    other = run_all(settings(intensity=2.0))
    assert other is not None
    assert fates(settings(intensity=2.0))["a.jpg"][0] == "skipped"
    (tmp_path / "in2").mkdir()
    (tmp_path / "in2" / "z.jpg").write_bytes(saved(noise(3)))
    elsewhere = run_all(settings(source=str(tmp_path / "in2")))
    assert elsewhere is not None
    assert (elsewhere["inputs"], elsewhere["unchanged"]) == (1, 0)


def test_after_an_upgrade_only_what_is_new_is_edited(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, a=0)
    run_all(settings())
    monkeypatch.setattr("flows.edit.fingerprint.EDIT_FORMAT", 99)
    put(tmp_path, b=1)
    report = run_all(settings())
    assert report is not None
    assert (report["inputs"], report["unchanged"]) == (1, 1)


def test_retry_failed_does_exactly_the_failed_ones(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0, b=1, c=2, d=3)
    (tmp_path / "in" / "b.jpg").write_bytes(saved(noise(1))[:2000])
    first = run_all(settings(shard_size=2))
    assert first is not None
    assert first["counts"] == {"edited": 3, "copied": 0, "skipped": 0, "failed": 1}
    assert [(failure["key"], failure["ledger"]) for failure in first["failures"]] == [
        ("b.jpg", "ledger/00000.0000.parquet")
    ]
    before = written(tmp_path)
    put(tmp_path, b=1)
    told = {row["what"]: row["value"] for row in describe(resolve(settings(shard_size=2, retry_failed=True)))}
    assert (told["run"], told["images"]) == (first["run_id"], "1 failed ones")
    again = run_all(settings(shard_size=2, retry_failed=True))
    assert again is not None
    assert (again["run_id"], again["counts"]["edited"]) == (first["run_id"], 4)
    prepared = prepare(resolve(settings(shard_size=2, run_id=first["run_id"])))
    assert sorted(finished_shards(prepared.store).values()) == [
        "ledger/00000.0001.parquet",
        "ledger/00001.0000.parquet",
    ]
    rows = {row["key"]: row for row in read_rows(prepared.store, "ledger/00000.0001.parquet").to_pylist()}
    assert (rows["a.jpg"]["attempts"], rows["a.jpg"]["generation"]) == (1, 0)
    assert (rows["b.jpg"]["attempts"], rows["b.jpg"]["generation"]) == (2, 1)
    after = written(tmp_path)
    assert {name: after[name] for name in before} == before
    assert run_all(settings(shard_size=2, retry_failed=True)) is None
    assert run_all(settings()) is None, "the state knows that it is done"


def test_the_failed_ones_stay_failed_until_they_are_retried(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0)
    (tmp_path / "in" / "b.jpg").write_bytes(b"no image")
    run_all(settings())
    assert run_all(settings()) is None
    again = run_all(settings(retry_failed=True))
    assert again is not None
    assert again["counts"]["failed"] == 1
    assert again["failures"][0]["ledger"] == "ledger/00000.0001.parquet"
    with refused("run-missing"):
        prepare(resolve(settings(retry_failed=True, run_id="nobody")))


def test_what_failed_before_an_upgrade_is_refused_with_what_helps(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "a.jpg").write_bytes(b"no image")
    first = run_all(settings(max_failed_share=1))
    assert first is not None
    monkeypatch.setattr("flows.edit.fingerprint.EDIT_FORMAT", 99)
    assert run_all(settings()) is None
    with refused("run-settings-differ", "--retry-failed", first["run_id"], "edit_format", "--redo"):
        prepare(resolve(settings(retry_failed=True)))


def test_an_unfinished_run_is_not_retried(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0)
    begun = prepare(resolve(settings(run_id="mine")))
    assert isinstance(begun, PreparedRun)
    with refused("run-unfinished"):
        prepare(resolve(settings(retry_failed=True, run_id="mine")))


def test_a_retry_that_died_after_its_ledgers_is_ended_by_the_next_one(
    tmp_path: Path, settings: MakeSettings
) -> None:
    put(tmp_path, a=0)
    (tmp_path / "in" / "b.jpg").write_bytes(saved(noise(1))[:2000])
    run_all(settings())
    put(tmp_path, b=1)
    retry = prepare(resolve(settings(retry_failed=True)))
    assert isinstance(retry, PreparedRun)
    # And then it was killed.
    edit_shard(retry.run.url, 0, settings(), 1)
    again = run_all(settings(retry_failed=True))
    assert again is not None
    assert again["counts"] == {"edited": 2, "copied": 0, "skipped": 0, "failed": 0}
    assert find_report(ReportSettings(run=settings().destination))["counts"] == again["counts"]
    assert run_all(settings(retry_failed=True)) is None
    assert run_all(settings()) is None, "the state has it too"


def test_with_another_format_keys_and_bytes_are_that_formats(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0)
    (tmp_path / "in" / "b.webp").write_bytes(saved(noise(1), "WEBP"))
    (tmp_path / "in" / "c.png").write_bytes(saved(noise(2), "PNG"))
    run_all(settings(format="webp"))
    assert set(written(tmp_path)) == {"a.jpg.webp", "b.webp", "c.png.webp"}
    assert all(data[8:12] == b"WEBP" for _, data in written(tmp_path).values())
    put(tmp_path, **{"c.png": 3})
    with refused("output-collision"):
        prepare(resolve(settings(format="jpeg")))


@pytest.mark.parametrize(("rule", "status"), [("copy", "copied"), ("skip", "skipped"), ("edit", "edited")])
def test_a_face_that_has_it_already(tmp_path: Path, settings: MakeSettings, rule: str, status: str) -> None:
    put(tmp_path, with_glasses=0, without=1)
    labels = tmp_path / "labels"
    labels.mkdir()
    signs = {
        True: ["1" if name == "Eyeglasses" else "-1" for name in CELEBA],
        False: ["-1"] * len(CELEBA),
    }
    lines = [f"with_glasses.jpg {' '.join(signs[True])}", f"without.jpg {' '.join(signs[False])}"]
    (labels / "list_attr_celeba.txt").write_text("\n".join(["2", " ".join(CELEBA), *lines]) + "\n")
    wanted = settings(labels=str(labels), on_present=rule)
    report = run_all(wanted)
    assert report is not None
    assert report["counts"][status] >= 1
    assert fates(wanted)["with_glasses.jpg"][0] == status
    assert fates(wanted)["without.jpg"][0] == "edited"
    outputs = {name: data for name, (_, data) in written(tmp_path).items()}
    mark = read_mark(outputs["without.jpg"])
    assert mark is not None
    assert (mark.edits, mark.model) == ("Eyeglasses=1@1", report["made_of"]["bundle"])
    original = (tmp_path / "in" / "with_glasses.jpg").read_bytes()
    if rule == "copy":
        assert outputs["with_glasses.jpg"] == original, "a copy is a copy, and not marked as edited"
    elif rule == "skip":
        assert "with_glasses.jpg" not in outputs
    else:
        assert read_mark(outputs["with_glasses.jpg"]) is not None


def test_a_copy_in_another_format_or_of_the_bare_face_is_not_edited(
    tmp_path: Path, settings: MakeSettings
) -> None:
    put(tmp_path, a=0)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "list_attr_celeba.txt").write_text(f"1\n{' '.join(CELEBA)}\na.jpg {' '.join(['1'] * 40)}\n")
    run_all(settings(labels=str(labels), format="png"))
    copy = (tmp_path / "out" / "a.jpg.png").read_bytes()
    assert (opened(copy) == opened((tmp_path / "in" / "a.jpg").read_bytes())).all()
    assert read_mark(copy) is None


def test_a_file_that_is_too_large_is_refused_unread_and_retried_with_a_higher_limit(
    tmp_path: Path, settings: MakeSettings
) -> None:
    put(tmp_path, a=0)
    size = os.path.getsize(tmp_path / "in" / "a.jpg")
    run_all(settings(max_bytes=size - 1, max_failed_share=1))
    status, reason = fates(settings())["a.jpg"]
    assert (status, reason) == ("failed", f"{size:,} bytes; the limit is {size - 1:,}")
    run_all(settings(max_bytes=size, retry_failed=True))
    assert fates(settings())["a.jpg"] == ("edited", None)


def test_a_report_is_found_by_its_run_or_by_its_destination(tmp_path: Path, settings: MakeSettings) -> None:
    put(tmp_path, a=0)
    report = run_all(settings())
    assert report is not None
    assert find_report(ReportSettings(run=report["url"]))["run_id"] == report["run_id"]
    assert find_report(ReportSettings(run=settings().destination))["run_id"] == report["run_id"]
    put(tmp_path, b=1)
    begun = prepare(resolve(settings()))
    assert isinstance(begun, PreparedRun)
    with refused("run-unfinished"):
        find_report(ReportSettings(run=begun.run.url))
    with refused("run-missing"):
        find_report(ReportSettings(run=str(tmp_path / "in")))


def test_all_runs_at_a_destination_are_listed(settings: MakeSettings, tmp_path: Path) -> None:
    with refused("run-missing"):
        show_runs(str(tmp_path / "out"))
    put(tmp_path, first=1)
    run_all(settings())
    put(tmp_path, new=7)
    prepare(resolve(settings(shard_size=1)))
    rows = show_runs(str(tmp_path / "out"))
    assert ["edited" in row["outcome"] for row in rows] == [True, False]
    assert rows[1]["outcome"] == "unfinished: 0 of 1 shard done"
    assert rows[1]["images"] == "1"
