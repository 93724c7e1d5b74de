"""The files that a sweep ends with."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attgan.models import inspect_bundle, load_bundle
from flows.storage import open_store
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.records import new_record, write_record
from flows.sweep.results.display import measure_rows, show
from flows.sweep.results.results import finish
from tests.support.finished_sweep import NAMES, SIZE, plan_at

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


def test_the_best_bundle_is_the_best_trials_with_a_card_that_says_so(
    finished: SweepPlan, result: dict[str, Any], places: Places
) -> None:
    best, trial = load_bundle(result["bundle"]), finished.known[int(result["best"]["trial"])]
    of_trial = load_bundle(f"{trial.url}/bundle")
    for name, tensor in of_trial.generator.state_dict().items():
        assert (best.generator.state_dict()[name] == tensor).all()
    assert best.discriminator is not None
    assert best.classifier is not None
    assert best.digest == result["digest"]
    assert best.config.licence == of_trial.config.licence == result["licence"]
    start = inspect_bundle(str(places.bundle)).digest
    for words in (
        f"Trial {trial.name} ({trial.label}) of a sweep of 4 trials",
        start,
        f"- lambda_reconstruction: {trial.settings.lambda_reconstruction}",
        "Measured on 5 held-out faces without Eyeglasses, by which the best step was chosen",
        f"| SSIM of the unchanged reconstruction | {result['best']['test']['ssim']:.3g} |",
        "an untrained evaluator; it sees Eyeglasses in ",
        "| held out: quality |",
    ):
        assert words in best.card, words
    assert finished.store.url not in best.card, "a bundle is passed on, and addresses are nobody's business"


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


def with_a_trial_of(finished: SweepPlan, plan: SweepPlan, number: int, state: str) -> None:
    """The files of a trial in another sweep's folder, where it ended otherwise; the others fail."""
    shutil.copytree(finished.known[number].url, plan.known[number].url)
    for trial in plan.known:
        record = new_record(trial.number, trial.changes, trial.label)
        write_record(open_store(trial.url), record | {"state": state if trial.number == number else "failed"})


def test_a_diverged_trial_stays_in_the_pictures_but_is_not_the_best(
    finished: SweepPlan, places: Places, tmp_path: Path
) -> None:
    plan = plan_at(str(tmp_path), places)
    with_a_trial_of(finished, plan, 1, "diverged")
    again = finish(plan, LOG, seconds=1, reason="all 4 trials are done")
    assert again["best"] is None
    assert again["pictures"] == ["curves.png", "faces.jpg"]


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


def test_the_card_says_what_the_discriminator_came_from(
    finished: SweepPlan, places: Places, tmp_path: Path
) -> None:
    aligned = tmp_path / "aligned"
    shutil.copytree(str(places.bundle), aligned)
    plan = plan_at(str(tmp_path / "sweep"), replace(places, bundle=str(aligned)), bundle=places.bundle)
    with_a_trial_of(finished, plan, 0, "finished")
    card = load_bundle(finish(plan, LOG, seconds=1, reason="done")["bundle"]).card
    start = inspect_bundle(str(places.bundle)).digest
    assert f"bundle whose digest is `{start}`, with a discriminator that was aligned with it first." in card


def test_from_scratch_there_is_no_start_to_compare_with(
    finished: SweepPlan, places: Places, tmp_path: Path
) -> None:
    fresh = {"bundle": None, "from_scratch": True, "size": SIZE, "width": 2, "attributes": list(NAMES)}
    plan = plan_at(str(tmp_path), replace(places, bundle=None), **fresh)
    with_a_trial_of(finished, plan, 0, "finished")
    result = finish(plan, LOG, seconds=1, reason="done")
    assert [row["trial"] for row in result["leaderboard"]] == ["000", "001", "002", "003"]
    assert result["start"] is None
    card = load_bundle(result["bundle"]).card
    assert "It started from fresh networks." in card
    assert "| measure | this bundle |\n" in card
    assert set(measure_rows(result)[0]) == {"measure", "best"}
