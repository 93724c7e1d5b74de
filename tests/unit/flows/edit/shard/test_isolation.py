"""Shards with images that kill their decoder for real: they become rows, and all others have the bytes as always."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.edit.job import resolve
from flows.edit.ledger import finished_shards, read_rows, read_summary
from flows.edit.plan.prepared_run import PreparedRun, prepare
from flows.edit.report.content import build_report
from flows.edit.shard import isolation
from flows.edit.shard.child import Child, Death, IsolationError
from flows.edit.shard.isolation import edit_shard_in_isolation
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings
from flows.storage import StorageError
from tests.support.images.pictures import noise, saved
from tests.support.processes import answers, find_processes
from tests.support.refusals import refused
from tests.support.waiting import wait_until

MakeSettings = Callable[..., EditSettings]
POISON = Path(__file__).parents[4] / "faults" / "poison"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a child's decoder dies of some images; this process's own, imported long ago, does not."""
    monkeypatch.syspath_prepend(str(POISON))


def write_inputs(tmp_path: Path, names: list[str]) -> None:
    """Images; ``03-crash.jpg`` is one that crashes a poisoned decoder."""
    for i, name in enumerate(names):
        _, _, how = name.removesuffix(".jpg").partition("-")
        comment = f"poison:{how}" if how else "a picture"
        (tmp_path / "in" / name).write_bytes(saved(noise(i), comment=comment.encode()))


def begin(settings: EditSettings) -> PreparedRun:
    prepared = prepare(resolve(settings))
    assert isinstance(prepared, PreparedRun)
    return prepared


def undisturbed(tmp_path: Path, settings: MakeSettings, **options: object) -> PreparedRun:
    """A run whose decoder survives every image, in this process; its outputs are in ``undisturbed``."""
    (tmp_path / "undisturbed").mkdir()
    prepared = begin(settings(destination=str(tmp_path / "undisturbed"), **options))
    for shard in range(prepared.run.shards):
        edit_shard(prepared.run.url, shard, prepared.run.settings)
    return prepared


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.jpg")}


def rows_of(prepared: PreparedRun) -> dict[str, dict[str, Any]]:
    tables = [read_rows(prepared.store, key) for key in finished_shards(prepared.store).values()]
    return {row["key"]: row for table in tables for row in table.to_pylist()}


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return find_processes(
        lambda one: one.ppid() == process.pid and "flows.edit.shard.isolated" in one.cmdline()
    )


@pytest.mark.long
@pytest.mark.usefixtures("poison")
def test_what_crashes_loops_for_ever_or_hoards_memory_is_a_row(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "IMAGE_SECONDS", 1)
    monkeypatch.setattr(isolation, "FURTHER_SECONDS", 0)
    reasons = {
        "02-hoard.jpg": "the process that edited it ran out of memory",
        "04-crash.jpg": "the process that edited it was killed (SIGSEGV)",
        "05-loop.jpg": "the process that edited it was killed (SIGXCPU); it had used more CPU time than an image may",
    }
    good = ["00.jpg", "01.jpg", "03.jpg", "06.jpg", "07.jpg", "08.jpg"]
    write_inputs(tmp_path, sorted([*good, *reasons]))
    options = {"batch_size": 4, "max_pixels": 100_000}
    undisturbed(tmp_path, settings, **options)
    expected = outputs(tmp_path / "undisturbed")
    prepared = begin(settings(**options))
    summary = edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings)
    rows = rows_of(prepared)
    assert {key: row["reason"] for key, row in rows.items() if row["status"] == "failed"} == reasons
    for key in reasons:
        assert (rows[key]["stage"], rows[key]["attempts"]) == ("process", 2)
        assert rows[key]["bytes_out"] is None
    assert {key for key, row in rows.items() if row["status"] == "edited"} == set(good)
    assert outputs(tmp_path / "out") == {key: expected[key] for key in good}
    assert all(rows[key]["output_etag"] and rows[key]["bytes_in"] for key in good)

    assert summary == read_summary(prepared.store, finished_shards(prepared.store)[0])
    report = build_report(prepared.run, [summary], wall=1.0)
    assert report["counts"] == {"edited": len(good), "copied": 0, "skipped": 0, "failed": len(reasons)}
    assert report["shards_isolated"] == 1
    assert {failure["key"]: failure["reason"] for failure in report["failures"]} == reasons
    assert set(report["seconds"]) == {"fetch", "decode", "find", "edit", "encode", "put"}
    assert report["seconds"]["decode"] > 0
    assert not children_of(psutil.Process())


@pytest.mark.long
def test_a_shard_without_poison_is_what_it_always_is(
    tmp_path: Path, settings: MakeSettings, seeing_bundle: str
) -> None:
    write_inputs(tmp_path, [f"{i:02d}.jpg" for i in range(7)])
    (tmp_path / "in" / "07.jpg").write_bytes(b"broken, but it kills nobody")
    options: dict[str, object] = {
        "bundle": seeing_bundle,
        "faces": "aligned",
        "batch_size": 3,
        "shard_size": 5,
    }
    expected = rows_of(undisturbed(tmp_path, settings, **options))
    prepared = begin(settings(**options))
    for shard in range(prepared.run.shards):
        edit_shard_in_isolation(prepared.run.url, shard, prepared.run.settings)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "undisturbed")
    assert len(outputs(tmp_path / "out")) == 7
    found = rows_of(prepared)
    for rows in (expected, found):
        for row in rows.values():
            # A time, on disk.
            del row["output_etag"]
    assert found == expected
    assert found["07.jpg"]["stage"] == "decode"


def test_a_child_that_is_killed_costs_nobody_anything(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tmp_path, [f"{i:02d}.jpg" for i in range(8)])
    prepared = begin(settings(batch_size=2))
    ask = Child.ask
    batches: list[list[int]] = []

    def ask_and_kill(child: Child, message: dict[str, Any], seconds: float) -> dict[str, Any] | Death:
        if len(message.get("edit", [])) == 2:
            batches.append(message["edit"])
            # Before one batch; and with another one, whether or not it has begun.
            if len(batches) == 2:
                child.process.kill()
                child.process.wait()
            if len(batches) == 3:
                child.process.send_signal(signal.SIGSTOP)
                threading.Timer(0.1, child.process.kill).start()
        return ask(child, message, seconds)

    monkeypatch.setattr(Child, "ask", ask_and_kill)
    summary = edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings)
    assert len(batches) == 4
    assert summary.counts == {"edited": 8, "copied": 0, "skipped": 0, "failed": 0}


@pytest.mark.long
@pytest.mark.usefixtures("poison")
def test_failed_images_are_tried_again_by_another_decoder(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tmp_path, ["00.jpg", "01-exit.jpg", "02.jpg"])
    prepared = begin(settings())
    edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings)
    before = rows_of(prepared)
    assert before["01-exit.jpg"]["reason"] == "the process that edited it ended with exit code 3"
    # It is mended.
    monkeypatch.undo()
    summary = edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings, generation=1)
    assert summary.counts == {"edited": 3, "copied": 0, "skipped": 0, "failed": 0}
    rows = rows_of(prepared)
    assert {key: rows[key] for key in ("00.jpg", "02.jpg")} == {
        key: before[key] for key in ("00.jpg", "02.jpg")
    }
    mended = rows["01-exit.jpg"]
    assert (mended["status"], mended["attempts"], mended["generation"]) == ("edited", 3, 1)


# Starts a process; one_shard's tests have a failing storage without one.
@pytest.mark.long
def test_a_failing_storage_is_nobodys_row(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tmp_path, ["00.jpg", "01.jpg"])
    prepared = begin(settings())
    # Python would leave compiled modules behind that are cut off at the limit.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match=r"0\d\.jpg: File too large"):
            edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not finished_shards(prepared.store)
    assert not children_of(psutil.Process())


def test_a_users_mistake_stays_one(
    tmp_path: Path, settings: MakeSettings, bundle: str, seeing_bundle: str
) -> None:
    write_inputs(tmp_path, ["00.jpg"])
    mine = tmp_path / "bundle"
    shutil.copytree(bundle, mine)
    prepared = begin(settings(bundle=str(mine)))
    shutil.copytree(seeing_bundle, mine, dirs_exist_ok=True)
    with refused("bundle-replaced"):
        edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings)
    assert not finished_shards(prepared.store)


def test_children_that_die_at_once_are_no_images_fault(
    tmp_path: Path, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tmp_path, ["00.jpg"])
    prepared = begin(settings())
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(
        IsolationError, match=r"3 processes died before they received an image; .* exit code 1"
    ):
        edit_shard_in_isolation(prepared.run.url, 0, prepared.run.settings)
    assert not finished_shards(prepared.store)


@pytest.fixture
def looping(tmp_path: Path, settings: MakeSettings, poison: None) -> PreparedRun:
    """A run of one image, which keeps its process busy for ever."""
    write_inputs(tmp_path, ["00-loop.jpg"])
    return begin(settings())


def run_elsewhere(call: str, prepared: PreparedRun) -> subprocess.Popen[bytes]:
    """Another process that edits the run's one shard."""
    program = (
        "import sys; from flows.edit.shard import isolation, one_shard; from flows.settings import EditSettings\n"
        f"{call}(sys.argv[1], 0, EditSettings.model_validate_json(sys.argv[2]))"
    )
    arguments = [prepared.run.url, prepared.run.settings.model_dump_json()]
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stderr=subprocess.PIPE,
    )


@pytest.mark.usefixtures("poison")
def test_a_shard_that_gets_nothing_done_is_ended(tmp_path: Path, settings: MakeSettings) -> None:
    write_inputs(tmp_path, ["00-loop.jpg"])
    prepared = begin(settings(stall_timeout=2))
    worker = run_elsewhere("one_shard.edit_shard", prepared)
    try:
        assert worker.stderr is not None
        assert b"Timeout (0:00:02)!" in worker.stderr.read()
        assert worker.wait() == 1
    finally:
        worker.kill()
        worker.wait()
    assert not finished_shards(prepared.store)


def test_a_child_does_not_outlive_its_parent(looping: PreparedRun) -> None:
    parent = run_elsewhere("isolation.edit_shard_in_isolation", looping)
    try:
        child = wait_for_child(psutil.Process(parent.pid))
    finally:
        parent.kill()
        parent.wait()
    wait_until(
        lambda: not any(answers(lambda one: one.status() != psutil.STATUS_ZOMBIE, [child])), "the child's end"
    )


def wait_for_child(parent: psutil.Process) -> psutil.Process:
    """Its child, once it is in its endless loop (it takes less time to get there)."""

    def look() -> psutil.Process | None:
        return next((child for child in children_of(parent) if child.cpu_times().user > 3), None)

    return wait_until(look, "the child")  # type: ignore[return-value]
