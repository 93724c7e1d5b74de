"""Undo, forget and mirrored deletions on a real S3 server, where an output carries the proof of who wrote it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import boto3
import pytest

from flows.edit.removal.deleted_sources import SOURCE_EXISTS
from flows.edit.removal.outputs import CHANGED, GONE, REMOVED, REPLACED, SHARED, UNPROVEN
from flows.operate.removing import forget_keys
from flows.operate.undo import undo
from flows.settings import ForgetSettings, UndoSettings
from flows.storage import join
from tests.support.small_edit import SmallEdit, make_small_edit
from tests.support.waiting import wait_until


@pytest.fixture
def place(s3_server: Mapping[str, str], fresh_bucket: Callable[..., str], tmp_path: Path) -> SmallEdit:
    bundle = make_small_edit(tmp_path).bundle
    return SmallEdit(f"s3://{fresh_bucket(s3_server)}", bundle)


def run_url(place: SmallEdit, run: str | None) -> str:
    assert run is not None
    return join(place.destination.url, "_runs", run)


def next_second() -> None:
    """S3 tells times in whole seconds, and a real command takes longer than one."""
    time.sleep(1.1)


def test_what_a_run_wrote_is_removed_by_its_proof(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3", d="4", e="5")
    first = place.run()
    client, bucket = boto3.session.Session().client("s3"), place.url.removeprefix("s3://")
    # The same bytes, and so the same ETag, put there by somebody else.
    client.put_object(Bucket=bucket, Key="out/b.jpg", Body=place.destination.get("b.jpg").data)
    next_second()
    place.put(c="33")
    second = place.run()
    place.source.delete("a.jpg")
    place.source.delete("b.jpg")
    outcome = forget_keys(ForgetSettings(destination=place.destination.url, keys=["a.jpg", "b.jpg", "d.jpg"]))
    assert (outcome.removed, outcome.left) == (["a.jpg"], {"b.jpg": CHANGED, "d.jpg": SOURCE_EXISTS})
    again = place.run(redo=True)
    assert undo(UndoSettings(run=run_url(place, again)))[1].counts == {SHARED: 3}
    outcome = undo(UndoSettings(run=run_url(place, first)))[1]
    assert outcome.counts == {REMOVED: 2, REPLACED: 1, CHANGED: 1, GONE: 1}
    assert place.outputs() == {"b", "c"}
    next_second()
    assert place.run() is not None
    assert place.outputs() == {"b", "c", "d", "e"}
    assert place.run() is None
    assert undo(UndoSettings(run=run_url(place, second)))[1].counts == {REMOVED: 1}


def test_an_unfinished_run_is_undone_with_what_it_wrote_without_a_ledger(place: SmallEdit) -> None:
    place.put(a="1", b="2", c="3")
    run = place.run(shard_size=1, shards=2, ledgers=False)
    assert place.outputs() == {"a", "b"}
    assert undo(UndoSettings(run=run_url(place, run)))[1].counts == {REMOVED: 2}
    assert place.outputs() == set()
    next_second()
    place.run()
    assert place.outputs() == {"a", "b", "c"}


def test_an_output_without_a_ledger_is_forgotten_by_its_proof(place: SmallEdit) -> None:
    place.put(a="1", b="2")
    place.run(shards=1, ledgers=False)
    place.source.delete("a.jpg")
    place.source.delete("b.jpg")
    # As when the run resumes: its shard finds both images deleted.
    place.run(failing=["a.jpg", "b.jpg"])
    place.destination.put("b.jpg", b"somebody else's")
    outcome = forget_keys(ForgetSettings(destination=place.destination.url, keys=["a.jpg", "b.jpg"]))
    assert (outcome.removed, outcome.left) == (["a.jpg"], {"b.jpg": UNPROVEN})
    assert place.outputs() == {"b"}


@pytest.mark.long
@pytest.mark.fault
def test_undo_that_is_killed_loses_nothing_and_can_be_repeated(place: SmallEdit) -> None:
    images = {f"i{number:04d}": str(number) for number in range(300)}
    place.put(**images)
    run = place.run()
    undoing = "import sys; from flows.operate.undo import undo; from flows.settings import UndoSettings; "
    # Slowly, so that it is killed in the middle.
    undoing += "import flows.edit.removal.outputs as outputs; outputs._BATCH = 10; "
    undoing += "undo(UndoSettings(run=sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", undoing, run_url(place, run)], env=os.environ.copy())
    wait_until(lambda: len(place.outputs()) < 290, "the first outputs to be removed")
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = place.outputs()
    assert 0 < len(left) < 290
    next_second()
    place.run()
    assert place.outputs() == set(images), "what is gone counts as not done"
    assert place.run() is None
    remade = undo(UndoSettings(run=run_url(place, run)))[1].counts
    assert remade[REMOVED] + remade[SHARED] == 300
    assert place.outputs() != set(), "what the next run made is its own"
    next_second()
    place.run()
    assert place.outputs() == set(images)
    assert place.run() is None
