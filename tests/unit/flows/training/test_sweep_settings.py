"""A training takes the settings of a sweep's best trial, where the command has none of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.settings import SweepSettings, TrainSettings
from flows.training.sweep_settings import with_best_settings
from tests.support.refusals import refused

PLACES = {"dataset": "/faces", "destination": "/run"}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A finished sweep of two trials from a bundle; the second is the best."""
    return write_sweep(tmp_path / "sweep", bundle="/model", strategy="permutation", freeze_d=3, max_steps=60)


def write_sweep(folder: Path, **options: Any) -> Path:
    settings = SweepSettings.model_validate(options).model_dump(mode="json")
    best = folder / "trials" / "001"
    best.mkdir(parents=True)
    changes = {"lambda_reconstruction": 50.0, "freeze_d": 4}
    (best / "trial.json").write_text(json.dumps({"changes": changes}))
    (folder / "sweep.json").write_text(json.dumps({"settings": settings}))
    (folder / "report.json").write_text(json.dumps({"best": {"trial": "001"}}))
    return folder


def taken(sweep: Path, **options: Any) -> TrainSettings:
    return with_best_settings(TrainSettings.model_validate(PLACES | {"settings_from": str(sweep), **options}))


def test_it_has_the_best_trials_settings_and_the_bundle_that_it_started_from(sweep: Path) -> None:
    chosen = taken(sweep)
    assert (chosen.lambda_reconstruction, chosen.freeze_d, chosen.strategy) == (50, 4, "permutation")
    assert (chosen.max_steps, chosen.bundle, chosen.dataset) == (60, "/model", "/faces")
    assert chosen.settings_from is None
    assert with_best_settings(chosen) == chosen


def test_what_the_command_says_comes_first(sweep: Path) -> None:
    chosen = taken(sweep, freeze_d=0, max_steps=5000, gpus=1)
    assert (chosen.freeze_d, chosen.max_steps, chosen.lambda_reconstruction) == (0, 5000, 50)
    form = TrainSettings.model_validate(PLACES | {"settings_from": str(sweep), "seed": 7})
    filled = TrainSettings.model_validate(form.model_dump())
    assert (with_best_settings(filled).seed, with_best_settings(filled).freeze_d) == (7, 4)


def test_fresh_networks_have_the_trials_shape_and_a_bundle_its_own(tmp_path: Path) -> None:
    scratch = write_sweep(tmp_path / "scratch", from_scratch=True, bundle=None, size=64, width=8)
    assert (taken(scratch).bundle, taken(scratch).size, taken(scratch).width) == (None, 64, 8)
    named = taken(scratch, bundle="/other")
    assert (named.bundle, named.size, named.width) == ("/other", None, None)


def test_what_is_no_finished_sweep_is_refused(sweep: Path, tmp_path: Path) -> None:
    with refused("directory-missing", "--settings-from"):
        taken(tmp_path / "nowhere")
    (sweep / "trials" / "001" / "trial.json").unlink()
    with refused("sweep-damaged", "--settings-from"):
        taken(sweep)
    for best in (None, "missing"):
        (sweep / "report.json").write_text(json.dumps({"best": best}))
        if best:
            (sweep / "report.json").unlink()
        with refused("sweep-without-best", "--settings-from"):
            taken(sweep)
