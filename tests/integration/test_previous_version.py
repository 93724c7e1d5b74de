"""What version 0.1.0 wrote (``tests/fixtures/previous``) is read, continued and counted by this version."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from attgan.data.codec import Limits, decode
from attgan.models import load_bundle
from attgan.version import SOFTWARE
from flows.edit import lease
from flows.edit.job import resolve as resolve_edit
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.plan import closing
from flows.edit.plan.dry_run import describe
from flows.edit.plan.prepared_run import NothingToDo, PreparedRun, prepare
from flows.edit.report.finish import finish
from flows.edit.report.finished_runs import find_report
from flows.edit.shard.one_shard import edit_shard
from flows.settings import EditSettings, ReportSettings, SweepSettings, TrainSettings
from flows.storage import open_store
from flows.sweep.driver import SweepDriver
from flows.sweep.plan import Places, make_plan, resolve, write_or_check
from flows.sweep.records import RECORD, read_json, read_record
from flows.sweep.results import result_files
from flows.sweep.trial import run_trial
from flows.training.prepared_training import prepare as prepare_training
from flows.training.trial import train_trial
from tests.support import previous_version

FAILED = "002.jpg"
# In the ledger of the run that was killed.
DONE = ["000.jpg", "001.jpg", "003.jpg"]
# Its output was put, and the process was killed before the ledger.
PUT = "004.jpg"
OTHERS = ["005.jpg", "006.jpg", "007.jpg"]
ALL = sorted([FAILED, *DONE, PUT, *OTHERS])


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    return previous_version.unpack(tmp_path)


@pytest.fixture
def bucket(tmp_path: Path, s3_server: dict[str, str], fresh_bucket: Callable[..., str]) -> str:
    return previous_version.upload(tmp_path, fresh_bucket(s3_server))


def edit_settings(place: Path | str, name: str, **changes: Any) -> EditSettings:
    """The command that version 0.1.0 was given; the bundle lies beside, or below the bucket's test folder."""
    options = {
        "source": f"{place}/images",
        "destination": f"{place}/{name}",
        "faces": "aligned",
        "shard_size": 4,
        "paste": "whole",
    }
    return EditSettings.model_validate(options | {"bundle": f"{place}/bundle"} | changes)


def run_edit(settings: EditSettings) -> tuple[dict[str, Any] | None, list[str]]:
    """What the flow does, in this process: the report, if there was anything to do, and the lines about closed runs."""
    lines: list[str] = []
    prepared = prepare(resolve_edit(settings), on_closed=lines.append)
    if isinstance(prepared, NothingToDo):
        return None, lines
    assert isinstance(prepared, PreparedRun)
    summaries = [edit_shard(prepared.run.url, shard, settings) for shard in prepared.todo]
    return finish(prepared, summaries, 1.0)[0], lines


def rows_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    store = open_store(report["url"])
    rows = [row for key in finished_shards(store).values() for row in read_rows(store, key).to_pylist()]
    return {row["key"]: row for row in rows}


def add_image(place: Path, name: str = "100.jpg", like: str = "000.jpg") -> None:
    shutil.copy(place / "images" / like, place / "images" / name)


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, but for the lease's and the cache of what is done."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in ("lease.json", "clock", "done.json")
        and not path.name.startswith("done-")
    }


def same_processor(previous: Path) -> bool:
    """Whether arithmetic has to be the same to the last bit: the same torch on the same kind of processor."""
    expected = json.loads((previous / "training-end" / "expected.json").read_text())
    return (expected["torch"], expected["processor"]) == (torch.__version__, previous_version.processor())


def test_its_bundle_is_the_same_model(previous: Path) -> None:
    bundle = load_bundle(previous / "bundle")
    run = json.loads(next((previous / "finished").glob("_runs/*/run.json")).read_text())
    assert bundle.digest == run["made_of"]["bundle"]
    assert bundle.config.software is None
    assert bundle.classifier is not None
    assert bundle.discriminator is not None


def test_its_bundle_edits_as_it_did(previous: Path) -> None:
    report, _ = run_edit(edit_settings(previous, "again"))
    assert report is not None
    assert report["counts"] == {"edited": 7, "copied": 0, "skipped": 0, "failed": 1}
    most = 0 if same_processor(previous) else 3
    for name in set(ALL) - {FAILED}:
        before, now = (
            decode((previous / place / name).read_bytes(), Limits()).pixels for place in ("finished", "again")
        )
        assert np.abs(before.astype(int) - now.astype(int)).max() <= most, name


def training(previous: Path) -> TrainSettings:
    expected = json.loads((previous / "training-end" / "expected.json").read_text())
    places = {name: str(previous / name) for name in ("dataset", "bundle")}
    return TrainSettings.model_validate(
        expected["settings"] | places | {"destination": str(previous / "training")}
    )


def test_its_training_resumes_to_the_same_weights(previous: Path) -> None:
    expected = json.loads((previous / "training-end" / "expected.json").read_text())
    torch.set_num_threads(1)
    outcome = train_trial(training(previous))
    assert outcome["ended"] == "finished"
    assert (outcome["resumed_from"], outcome["step"]) == (expected["stopped_after"], expected["step"])
    last = previous / "training" / "checkpoints" / f"step-{expected['step']:010d}"
    for network in ("generator", "discriminator"):
        before = load_file(previous / "training-end" / f"{network}.safetensors")
        now = load_file(last / f"{network}.safetensors")
        assert now.keys() == before.keys()
        for name, tensor in now.items():
            torch.testing.assert_close(tensor, before[name], rtol=1e-2, atol=1e-3)
    if same_processor(previous):
        digests = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in last.glob("*.safetensors")
        }
        assert digests == expected["sha256"], "to the last bit, the optimisers' states too"
    assert load_bundle(outcome["bundle"]).config.software == SOFTWARE


def sweep_settings(previous: Path) -> SweepSettings:
    options = json.loads((previous / "sweep-options.json").read_text())
    return SweepSettings.model_validate(options)


def test_its_finished_sweep_is_found_finished(previous: Path) -> None:
    settings = sweep_settings(previous)
    places = Places(settings.dataset or "", settings.bundle, settings.bundle)
    before = files(previous / "sweep" / "trials")
    plan = make_plan(resolve(settings), places=places)
    write_or_check(plan)
    driver = SweepDriver(plan, lambda event: None, lambda: None)
    assert (driver.left, driver.complete) == (False, 2)
    for trial in plan.known:
        assert prepare_training(trial.settings).finished is not None
    report = json.loads((previous / "sweep" / "report.json").read_text())
    best = load_bundle(previous / "sweep" / "best")
    assert best.digest == report["digest"]
    again = result_files.finish(plan, logging.getLogger("sweep"), seconds=1.0, reason="all 2 trials are done")
    same = ("best", "start", "states", "trials", "metric", "licence")
    assert {name: again[name] for name in same} == {name: report[name] for name in same}
    assert [row["trial"] for row in again["leaderboard"]] == [row["trial"] for row in report["leaderboard"]]
    assert files(previous / "sweep" / "trials") == before
    now = load_bundle(previous / "sweep" / "best").generator.state_dict()
    assert all((now[name] == tensor).all() for name, tensor in best.generator.state_dict().items())


def test_the_best_settings_of_its_sweep_are_taken_for_a_training(previous: Path) -> None:
    place = previous / "sweep"
    report = json.loads((place / "report.json").read_text())
    settings = TrainSettings(
        dataset=str(previous / "dataset"), destination=str(previous / "anew"), settings_from=str(place)
    )
    plan = prepare_training(settings)
    assert isinstance(plan.settings, TrainSettings)
    best = report["best"]["settings"]
    assert plan.settings.lambda_reconstruction == best["lambda_reconstruction"]
    assert plan.settings.bundle == str(previous / "bundle")
    assert (plan.settings.max_steps, plan.settings.flip) == (6, True)


def test_its_unfinished_sweep_resumes(previous: Path) -> None:
    settings = sweep_settings(previous)
    plan = make_plan(
        resolve(settings), places=Places(settings.dataset or "", settings.bundle, settings.bundle)
    )
    store = plan.folder(1)
    store.put(RECORD, json.dumps(read_json(store, RECORD) | {"state": "running"}).encode())
    store.delete("result.json")
    driver = SweepDriver(plan, lambda event: None, lambda: None)
    (call,) = driver.calls()
    assert (driver.left, driver.complete, call["order"].trial) == (True, 1, plan.known[1])
    torch.set_num_threads(1)
    run_trial(call["order"], lambda line: None)
    record = read_record(store)
    assert record is not None
    assert (record["state"], record["attempts"]) == ("finished", 2)


def test_its_finished_edit_counts_as_done(previous: Path) -> None:
    before = files(previous / "finished")
    prepared = prepare(resolve_edit(edit_settings(previous, "finished")))
    assert isinstance(prepared, NothingToDo)
    assert prepared.not_planned.unchanged == 8
    assert files(previous / "finished") == before
    assert find_report(ReportSettings(run=str(previous / "finished")))["counts"]["edited"] == 7


def test_after_its_finished_edit_only_what_is_new_or_changed_is_edited(previous: Path) -> None:
    before = files(previous / "finished")
    add_image(previous)
    shutil.copy(previous / "images" / "001.jpg", previous / "images" / "000.jpg")
    report, lines = run_edit(edit_settings(previous, "finished"))
    assert report is not None
    assert (report["inputs"], report["unchanged"], lines) == (2, 7, [])
    assert {key: row["status"] for key, row in rows_of(report).items()} == {
        "000.jpg": "edited",
        "100.jpg": "edited",
    }
    after = files(previous / "finished")
    assert after["000.jpg"] != before["000.jpg"], "its own output of earlier content is replaced"
    assert {name: after[name] for name in set(before) - {"000.jpg", "_runs/latest.json"}} == {
        name: before[name] for name in set(before) - {"000.jpg", "_runs/latest.json"}
    }
    run = json.loads(open_store(report["url"]).get("run.json").data)
    assert run["made_of"]["software"] == SOFTWARE


def test_the_lease_of_its_killed_run_has_expired(previous: Path) -> None:
    destination = open_store(str(previous / "unfinished"))
    owner = json.loads(destination.get(lease.LEASE).data)
    assert not owner["released"]
    with lease.held(destination, logging.getLogger("edit")) as held:
        assert held.lost is None


def test_its_unfinished_edit_is_closed_and_the_rest_is_planned_anew(previous: Path) -> None:
    (old,) = (previous / "unfinished" / "_runs").glob("*-0001")
    before = files(previous / "unfinished")
    report, lines = run_edit(edit_settings(previous, "unfinished"))
    (line,) = lines
    for words in (old.name, "software attgan 0.1.0", "3 of its 8 images"):
        assert words in line
    assert report is not None
    assert report["run_id"] != old.name
    assert (report["inputs"], report["unchanged"]) == (5, 3)
    rows = rows_of(report)
    assert sorted(rows) == sorted([FAILED, PUT, *OTHERS])
    assert {key: rows[key]["status"] for key in OTHERS} == dict.fromkeys(OTHERS, "edited")
    assert rows[FAILED]["status"] == "failed"
    after = files(previous / "unfinished")
    assert {key: after[key] for key in before} == before, "nothing that it wrote has changed"
    assert sorted(name for name in after if "/" not in name) == sorted([*DONE, PUT, *OTHERS])


def test_a_dry_run_says_what_would_be_closed_and_writes_nothing(previous: Path) -> None:
    before = files(previous / "unfinished")
    told = {
        row["what"]: row["value"] for row in describe(resolve_edit(edit_settings(previous, "unfinished")))
    }
    (old,) = (previous / "unfinished" / "_runs").glob("*-0001")
    assert "3 of its 8 images" in told[f"run {old.name}"]
    assert told["images"].startswith("5 (")
    assert told["done before, unchanged"] == "3"
    assert files(previous / "unfinished") == before


def test_a_command_that_is_killed_while_it_closes_is_made_good_by_the_next(
    previous: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(self: closing.UnfinishedRun) -> None:
        raise Killed

    (old,) = (previous / "unfinished" / "_runs").glob("*-0001")
    with monkeypatch.context() as patch:
        patch.setattr(closing.UnfinishedRun, "close", die)
        with pytest.raises(Killed):
            prepare(resolve_edit(edit_settings(previous, "unfinished")))
    assert not (old / "report.json").exists()
    report, lines = run_edit(edit_settings(previous, "unfinished"))
    assert report is not None
    assert (report["inputs"], report["unchanged"], len(lines)) == (5, 3, 1)
    assert (old / "report.json").exists()


def test_its_edits_in_a_bucket_are_done_or_closed_and_what_it_put_is_replaced(
    bucket: str, tmp_path: Path
) -> None:
    bundle = str(tmp_path / "bundle")
    finished = prepare(resolve_edit(edit_settings(bucket, "finished", bundle=bundle)))
    assert isinstance(finished, NothingToDo)
    assert finished.not_planned.unchanged == 8
    destination = open_store(f"{bucket}/unfinished")
    before = {info.key: info.etag for info in destination.list()}
    with lease.held(destination, logging.getLogger("edit")):
        report, lines = run_edit(edit_settings(bucket, "unfinished", bundle=bundle))
    assert len(lines) == 1
    assert report is not None
    assert (report["inputs"], report["unchanged"]) == (5, 3)
    statuses = {key: row["status"] for key, row in rows_of(report).items()}
    assert statuses == {FAILED: "failed"} | dict.fromkeys([PUT, *OTHERS], "edited")
    assert destination.head(PUT).metadata["attgan-fingerprint"] == report["fingerprint"]
    assert destination.head(PUT).etag != before[PUT]
    after = {info.key: info.etag for info in destination.list()}
    assert {key: after[key] for key in DONE} == {key: before[key] for key in DONE}
    assert run_edit(edit_settings(bucket, "unfinished", bundle=bundle)) == (None, [])
