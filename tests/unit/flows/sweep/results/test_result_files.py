"""The files that a sweep ends with."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from attgan.models import inspect_bundle, load_bundle
from flows.storage import open_store
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.records import new_record, write_record
from flows.sweep.results.display import show
from flows.sweep.results.result_files import finish
from tests.support.finished_sweep import plan_at, with_a_trial_of

LOG = logging.getLogger("test")


@pytest.fixture(scope="module")
def result(finished: SweepPlan) -> dict[str, Any]:
    return finish(finished, LOG, seconds=12.34, reason="all 4 trials are done")


def contents(folder: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_all_of_it_is_there_and_the_same_when_made_again(finished: SweepPlan, result: dict[str, Any]) -> None:
    before = contents(finished.store.url)
    expected = {
        "leaderboard.parquet",
        "leaderboard.csv",
        "curves.png",
        "faces.jpg",
        "report.json",
        "best/config.json",
    }
    assert expected | {
        f"tensorboard/{name}/events.out.tfevents.0.attgan" for name in ("000", "001", "002")
    } <= set(before)
    assert json.loads(before["report.json"]) == result
    again = finish(finished, LOG, seconds=99, reason="all 4 trials are done")
    after = contents(finished.store.url)
    assert again == result | {"seconds": 99}
    assert {key for key in after if after[key] != before.get(key)} == {"report.json"}
    assert after.keys() == before.keys()


def test_a_sweep_whose_trials_all_failed_says_so(
    places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_at(str(tmp_path), places)
    for trial in plan.known:
        record = new_record(trial.number, trial.changes, trial.label)
        write_record(open_store(trial.url), record | {"state": "failed", "reason": "RuntimeError: no luck"})
    result = finish(plan, LOG, seconds=1, reason="all 4 trials are done")
    assert "no trial kept weights" in caplog.text
    assert (result["best"], result["bundle"], result["pictures"]) == (None, None, [])
    assert result["states"] == {"failed": 4}
    assert not (tmp_path / "best").exists()
    show(result)
    assert "no trial kept weights" in capsys.readouterr().out


def test_an_interrupted_trial_is_worth_the_best_weights_that_it_kept(
    finished: SweepPlan, places: Places, tmp_path: Path
) -> None:
    plan = plan_at(str(tmp_path), places)
    with_a_trial_of(finished, plan, 1, "interrupted")
    trial = Path(plan.known[1].url)
    (trial / "result.json").unlink()
    shutil.rmtree(trial / "bundle")
    (trial / "measures.json").unlink()
    again = finish(plan, LOG, seconds=1, reason="an hour is over")
    best = again["best"]
    assert (best["trial"], best["test"]) == ("001", {})
    assert best["digest"] == inspect_bundle(trial / "best" / f"step-{best['step']:010d}").digest
    assert "Measured on" not in load_bundle(again["bundle"]).card
    assert again["pictures"] == ["curves.png"], "what was not measured has no faces to show"
