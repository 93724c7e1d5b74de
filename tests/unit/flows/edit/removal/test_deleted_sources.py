"""Outputs go after their sources, with what shows them, and nothing else goes."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from flows.edit import lease
from flows.edit.job import resolve
from flows.edit.plan.runs import list_runs
from flows.edit.removal import outputs
from flows.edit.removal.deleted_sources import SOURCE_EXISTS, forget, mirror_deletions
from flows.edit.removal.outputs import CHANGED, GONE, REMOVED, SHARED, UNPROVEN, Outcome
from flows.edit.removal.removed import list_removed, read_removed
from flows.edit.run import read_report
from flows.operate.removing import forget_keys
from flows.settings import ForgetSettings
from flows.storage import join, open_store
from tests.support.refusals import refused
from tests.support.small_edit import SmallEdit, make_small_edit


@pytest.fixture
def place(tmp_path: Path) -> SmallEdit:
    return make_small_edit(tmp_path)


@pytest.fixture
def copied(place: SmallEdit) -> SmallEdit:
    """The same images were copied to a second source, and both were edited into one destination."""
    place.put(a="1", b="2", c="3")
    place.run()
    other = SmallEdit(place.url, place.bundle)
    other.source = open_store(join(place.url, "copy"))
    other.put(a="1", b="2", c="3")
    assert other.run() is not None
    return other


def forgotten(place: SmallEdit, *names: str) -> Outcome:
    keys = [f"{name}.jpg" for name in names]
    return forget_keys(ForgetSettings(destination=place.destination.url, keys=keys))


def shown_in_report(place: SmallEdit, run: str | None) -> set[str]:
    """The keys that the report of a run shows."""
    assert run is not None
    report = read_report(open_store(join(place.destination.url, "_runs")), run)
    return {image[0] for image in report["sample"]} | {failed["key"] for failed in report["failures"]}


def test_a_deleted_image_is_forgotten_with_its_pictures(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3")
    run = place.run()
    assert run is not None
    folder = open_store(f"{place.destination.url}/_runs/{run}")
    folder.put("before-after.jpg", b"faces")
    folder.put("preview.html", b"<figcaption><b>a.jpg</b><br>edited</figcaption>")
    place.source.delete("a.jpg")
    destination = place.destination.url
    outcome = forget_keys(ForgetSettings(destination=destination, keys=["a.jpg", "b.jpg"]))
    assert outcome.removed == ["a.jpg"]
    assert outcome.left == {"b.jpg": SOURCE_EXISTS}
    assert {url.rpartition("/")[2] for url in outcome.pictures} == {"before-after.jpg", "preview.html"}
    assert place.outputs() == {"b", "c"}
    assert {info.key for info in folder.list("before-after.jpg")} == set()
    assert [image[0] for image in json.loads(folder.get("report.json").data)["sample"]] == ["b.jpg", "c.jpg"]
    assert place.run() is None
    again = forget_keys(ForgetSettings(destination=destination, keys=["a.jpg"]))
    assert again.counts == {GONE: 1}
    place.put(a="1")
    assert place.run() is not None, "an image that comes back is edited again"
    assert place.outputs() == {"a", "b", "c"}


def test_an_output_is_forgotten_although_a_later_content_of_its_image_has_failed(place: SmallEdit) -> None:
    place.put(a="1", b="2")
    place.run()
    place.put(a="damaged")
    place.run(failing=["a.jpg"])
    place.source.delete("a.jpg")
    assert forget_keys(ForgetSettings(destination=place.destination.url, keys=["a.jpg"])).removed == ["a.jpg"]
    assert place.outputs() == {"b"}


def test_a_forgotten_image_stays_out_of_the_report_of_a_retry(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3", d="4")
    run = place.run(failing=["c.jpg", "d.jpg"])
    for name in "ac":
        place.source.delete(f"{name}.jpg")
    forgotten(place, "a", "c")
    assert place.run(failing=["c.jpg"], retry_failed=True) == run
    assert shown_in_report(place, run) == {"b.jpg", "d.jpg"}
    place.put(a="1")
    again = place.run()
    assert again is not None
    assert shown_in_report(place, again) == {"a.jpg"}, "it came back after it was forgotten"


def test_a_forgotten_image_stays_out_of_the_report_of_a_run_that_is_closed(
    place: SmallEdit, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(a="1", b="2", c="3")
    begun = place.run(shard_size=1, shards=2)
    place.source.delete("a.jpg")
    forgotten(place, "a")
    monkeypatch.setattr("flows.edit.fingerprint.EDIT_FORMAT", 99)
    place.run()
    assert shown_in_report(place, begun) == {"b.jpg"}


def test_what_was_changed_since_is_not_forgotten(place: SmallEdit) -> None:
    place.put(a="1")
    place.run()
    place.source.delete("a.jpg")
    place.destination.put("a.jpg", b"retouched by hand")
    assert forget(place.destination, ["a.jpg"], dry_run=True).left == {"a.jpg": CHANGED}
    with refused("key-unknown"):
        forget(place.destination, ["b.jpg"], dry_run=True)


def test_an_output_that_no_ledger_records_is_never_said_to_be_gone(place: SmallEdit) -> None:
    place.put(written="1", foreign="2", never="3")
    place.destination.put("foreign.jpg", b"somebody else's")
    place.run(shards=1, ledgers=False)
    place.destination.delete("never.jpg")
    for name in ("written", "foreign", "never"):
        place.source.delete(f"{name}.jpg")
    place.run(failing=["written.jpg", "foreign.jpg", "never.jpg"])
    outcome = forgotten(place, "written", "foreign", "never")
    assert outcome.left == {"written.jpg": UNPROVEN, "foreign.jpg": UNPROVEN}, "a disk keeps no proof"
    assert outcome.counts[GONE] == 1
    assert place.outputs() == {"written", "foreign"}


def test_what_a_run_has_skipped_because_it_is_somebody_elses_is_not_forgotten(place: SmallEdit) -> None:
    place.destination.put("a.jpg", b"somebody else's")
    place.put(a="1")
    place.run(on_existing="skip")
    place.source.delete("a.jpg")
    assert forgotten(place, "a").left == {"a.jpg": UNPROVEN}


def test_forgetting_that_is_interrupted_before_the_deletion_can_be_repeated(
    place: SmallEdit, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(a="1", b="2")
    place.run()
    place.source.delete("a.jpg")
    settings = ForgetSettings(destination=place.destination.url, keys=["a.jpg"])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(place.destination), "delete", die)
        with pytest.raises(KeyboardInterrupt):
            forget_keys(settings)
    assert place.outputs() == {"a", "b"}
    assert forget_keys(settings).counts == {REMOVED: 1}
    assert place.outputs() == {"b"}


def test_deletions_are_mirrored_for_every_edit_of_the_source(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3")
    place.run()
    place.put(d="4", e="5", f="6")
    place.run(intensity=0.5)
    place.source.delete("a.jpg")
    place.source.delete("d.jpg")
    place.destination.put("somebody's.jpg", b"not ours")
    job = resolve(place.settings(mirror_max_share=0.5))
    assert mirror_deletions(job, dry_run=True).counts == {REMOVED: 2}
    forget_keys(ForgetSettings(destination=place.destination.url, keys=["a.jpg"]))
    runs = list_runs(place.destination.url)
    records = list_removed(runs[0].runs)
    with lease.held(place.destination, logging.getLogger()):
        assert mirror_deletions(job).removed == ["d.jpg"]
        assert mirror_deletions(job).counts == {}
    assert place.outputs() == {"b", "c", "e", "f", "somebody's"}
    new = [key for key in list_removed(runs[0].runs) if key not in records]
    rows = [
        row
        for listed in runs
        for table in read_removed(runs[0].runs, new, listed.run.lineage)
        for row in table.to_pylist()
    ]
    assert {(row["key"], row["why"]) for row in rows} == {("d.jpg", "its source was deleted")}


def test_a_run_that_is_stopped_removes_no_further_batch(
    place: SmallEdit, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(a="1", b="2", c="3", d="4")
    place.run()
    for name in "abc":
        place.source.delete(f"{name}.jpg")
    monkeypatch.setattr(outputs, "_BATCH", 1)

    def stop_after_two() -> None:
        if place.outputs() == {"c", "d"}:
            raise KeyboardInterrupt

    with lease.held(place.destination, logging.getLogger()), pytest.raises(KeyboardInterrupt):
        mirror_deletions(resolve(place.settings(mirror_max_share=0.8)), stop_after_two)
    assert place.outputs() == {"c", "d"}


def test_a_source_that_lacks_too_much_is_not_mirrored(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3")
    place.run()
    place.source.delete("a.jpg")
    with refused("mirror-share-exceeded"):
        mirror_deletions(resolve(place.settings(mirror_max_share=0.3)))
    for name in "bc":
        place.source.delete(f"{name}.jpg")
    with refused("source-empty"):
        mirror_deletions(resolve(place.settings(mirror_max_share=1)))
    assert place.outputs() == {"a", "b", "c"}


def test_an_output_that_another_source_still_has_is_not_forgotten(
    place: SmallEdit, copied: SmallEdit
) -> None:
    place.source.delete("a.jpg")
    assert forgotten(place, "a", "b").left == {"a.jpg": SHARED, "b.jpg": SOURCE_EXISTS}
    assert place.outputs() == {"a", "b", "c"}
    copied.source.delete("a.jpg")
    assert forgotten(place, "a").counts == {REMOVED: 1}
    assert place.outputs() == {"b", "c"}
    for one in (place, copied):
        one.put(a="1")
        assert one.run() is not None, "it counts as done for neither of the two"


def test_deletions_are_not_mirrored_where_another_source_still_has_the_image(
    place: SmallEdit, copied: SmallEdit
) -> None:
    place.source.delete("a.jpg")
    job = resolve(place.settings(mirror_max_share=0.5))
    with lease.held(place.destination, logging.getLogger()):
        assert mirror_deletions(job).left == {"a.jpg": SHARED}
        shutil.move(copied.source.url.removeprefix("file://"), f"{place.url}/away")
        assert mirror_deletions(job).left == {"a.jpg": SHARED}, "a source that is away may have it still"
        shutil.move(f"{place.url}/away", copied.source.url.removeprefix("file://"))
        copied.source.delete("a.jpg")
        assert mirror_deletions(job).counts == {REMOVED: 1}
    assert place.outputs() == {"b", "c"}


def test_the_share_that_may_be_mirrored_is_one_of_all_formats_outputs(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3", d="4", e="5")
    place.run()
    place.run(format="png")
    place.source.delete("a.jpg")
    with lease.held(place.destination, logging.getLogger()):
        with refused("mirror-share-exceeded"):
            mirror_deletions(resolve(place.settings(mirror_max_share=0.19)))
        assert mirror_deletions(resolve(place.settings(mirror_max_share=0.2))).counts == {REMOVED: 2}


def test_nothing_is_forgotten_while_one_of_the_sources_is_away(place: SmallEdit, copied: SmallEdit) -> None:
    place.source.delete("a.jpg")
    shutil.rmtree(copied.source.url.removeprefix("file://"))
    with refused("directory-missing", copied.source.url):
        forgotten(place, "a")
    assert place.outputs() == {"a", "b", "c"}
