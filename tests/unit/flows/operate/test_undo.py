"""Undo removes what a run wrote, and nothing else, and its images are planned again."""

from pathlib import Path

import pytest

from flows.edit import lease
from flows.edit.removal import outputs as module
from flows.edit.removal.outputs import CHANGED, REMOVED, REPLACED, SHARED, UNPROVEN, Outcome
from flows.operate.undo import undo
from flows.settings import UndoSettings
from flows.storage import join
from tests.support.refusals import refused
from tests.support.small_edit import SmallEdit, make_small_edit


@pytest.fixture
def place(tmp_path: Path) -> SmallEdit:
    return make_small_edit(tmp_path)


def undone(place: SmallEdit, run: str | None, *, dry_run: bool = False) -> Outcome:
    assert run is not None
    url = join(place.destination.url, "_runs", run)
    return undo(UndoSettings(run=url, dry_run=dry_run))[1]


def test_a_run_is_undone_and_its_images_are_planned_again(place: SmallEdit) -> None:
    place.put(a="1", b="2")
    first = place.run()
    place.put(c="3", d="4")
    second = place.run(failing=["d.jpg"], shard_size=1)
    assert place.run() is None
    assert undone(place, second, dry_run=True).counts == {REMOVED: 1}
    assert place.outputs() == {"a", "b", "c"}
    assert undone(place, second).counts == {REMOVED: 1}
    assert place.outputs() == {"a", "b"}
    third = place.run()
    assert third not in (None, first, second)
    assert place.outputs() == {"a", "b", "c", "d"}, "the image that failed is planned again, too"
    assert place.run() is None


def test_what_is_not_the_runs_own_stays(place: SmallEdit) -> None:
    place.put(kept="1", replaced="2", touched="3", gone="4", mine="5")
    first = place.run()
    place.put(replaced="22")
    second = place.run()
    place.destination.put("touched.jpg", b"retouched by hand")
    place.destination.delete("gone.jpg")
    again = place.run(redo=True)
    assert undone(place, again).counts == {SHARED: 3, REMOVED: 1}, (
        "only the one that was gone was written again"
    )
    outcome = undone(place, first)
    assert outcome.left == {"replaced.jpg": REPLACED, "touched.jpg": CHANGED}
    assert place.outputs() == {"replaced", "touched"}
    assert place.run() is not None
    assert place.destination.get("touched.jpg").data == b"retouched by hand"
    assert undone(place, second).counts == {REMOVED: 1}


def test_an_unfinished_run_is_closed_and_undone(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3")
    begun = place.run(shard_size=1, shards=2, ledgers=False)
    assert place.outputs() == {"a", "b"}
    assert undone(place, begun).counts == {REMOVED: 1, UNPROVEN: 1}, "a disk keeps no proof without a ledger"
    assert place.outputs() == {"b"}
    assert place.run(shard_size=1) not in (None, begun)
    assert place.outputs() == {"a", "b", "c"}


@pytest.mark.parametrize("step", range(1, 7))
def test_undo_that_is_interrupted_anywhere_can_be_repeated(
    place: SmallEdit, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(a="1", b="2", c="3", d="4")
    run = place.run(failing=["d.jpg"])
    steps = 0

    def dying(function):  # type: ignore[no-untyped-def]
        def counted(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal steps
            steps += 1
            if steps == step:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(module, "_BATCH", 2)
        patch.setattr(module, "write_removed", dying(module.write_removed))
        patch.setattr(type(place.destination), "delete", dying(type(place.destination).delete))
        with pytest.raises(KeyboardInterrupt):
            undone(place, run)
    between = place.run()
    assert between is not None
    assert place.outputs() == {"a", "b", "c", "d"}, "what was removed is made again, and nothing is missing"
    undone(place, run)
    assert place.outputs() >= {"d"}
    place.run()
    assert place.outputs() == {"a", "b", "c", "d"}
    assert place.run() is None


def test_a_run_that_was_undone_is_not_continued_by_its_name(place: SmallEdit) -> None:
    place.put(a="1")
    place.run(run_id="mine")
    undone(place, "mine")
    for options in ({}, {"retry_failed": True}):
        with refused("run-undone"):
            place.run(run_id="mine", **options)


def test_no_run_is_undone_while_one_is_at_work(place: SmallEdit, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(a="1")
    run = place.run()
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    with lease.held(place.destination, lease.logging.getLogger()), refused("destination-in-use"):
        undone(place, run)
    assert place.outputs() == {"a"}


def test_a_copy_of_a_run_is_not_undone(place: SmallEdit, tmp_path: Path) -> None:
    place.put(a="1")
    place.run(run_id="mine")
    copy = tmp_path / "copy" / "_runs" / "mine"
    copy.parent.mkdir(parents=True)
    (tmp_path / "out" / "_runs" / "mine").rename(copy)
    with refused("run-elsewhere"):
        undo(UndoSettings(run=str(copy)))
    assert place.outputs() == {"a"}
