"""The presets: the report's experiments, each ready to run with photographs and with drawn faces."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attgan.training.early_stopping import EarlyStopping
from attgan.training.networks import precision_on
from flows.settings import SweepSettings
from flows.sweep import preset
from flows.sweep.plan import describe
from flows.sweep.resolve import resolve

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "flows/sweep/presets"

SPACES = {
    "shortcut": ["shortcut_layers=0,1,2,4"],
    "alignment": ["fresh_discriminator=false,true"],
    "subset": ["subset=only,extended"],
    "freezed": ["freeze_d=0,1,2,3,4,5"],
    "lambda1": ["lambda_reconstruction=1,10,50,100"],
    "final": [],
}
EXPERIMENTS = [name for name in preset.NAMES if name != "default"]


def test_every_file_is_a_preset_and_every_preset_a_file() -> None:
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert files == {*preset.NAMES, "_report", "_drawn", "_drawn_fresh"}


@pytest.mark.parametrize("data", [{}, {"dataset": "/faces"}], ids=["drawn", "photographs"])
@pytest.mark.parametrize("name", preset.NAMES)
def test_a_preset_resolves_to_trials_that_a_training_takes(name: str, data: dict[str, str]) -> None:
    settings = SweepSettings.model_validate({"preset": name, **data})
    resolved = resolve(settings)
    assert resolve(resolved) == resolved
    assert resolved.trials is not None
    rows = {row["what"]: row["value"] for row in describe(settings)}
    labels = [value for what, value in rows.items() if what.startswith("trial ")]
    assert len(labels) == len(set(labels)) == resolved.trials
    assert resolved.attribute == "Eyeglasses"


@pytest.mark.parametrize("name", SPACES)
def test_an_experiment_is_the_reports(name: str) -> None:
    resolved = resolve(SweepSettings.model_validate({"preset": name, "dataset": "/faces"}))
    assert resolved.space == SPACES[name]
    assert (resolved.batch_size, resolved.learning_rate, resolved.epochs) == (128, 1e-4, 30)
    assert (resolved.search, resolved.scheduler, resolved.strategy) == ("grid", "none", "inverse")


@pytest.mark.parametrize("data", [{}, {"dataset": "/faces"}], ids=["drawn", "photographs"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_mirrors_nothing_and_is_in_float32_on_a_gpu_too(
    name: str, data: dict[str, str]
) -> None:
    chosen = {"preset": name, "gpus_per_trial": 1, **data}
    resolved = resolve(SweepSettings.model_validate(chosen))
    assert not resolved.flip
    assert (resolved.precision, precision_on(resolved, resolved.device)) == ("float32", "float32")
    other = resolve(SweepSettings.model_validate(chosen | {"flip": True, "precision": "bfloat16"}))
    assert other.flip
    assert precision_on(other, other.device) == "bfloat16"


def test_a_search_of_ones_own_mirrors_and_takes_what_suits_the_device() -> None:
    resolved = resolve(SweepSettings(dataset="/faces", gpus_per_trial=1))
    assert resolved.flip
    assert precision_on(resolved, resolved.device) == "bfloat16"


@pytest.mark.parametrize("name", ["lambda1", "final", "alternate"])
def test_with_photographs_early_stopping_waits_for_twenty_epochs(name: str) -> None:
    resolved = resolve(SweepSettings.model_validate({"preset": name, "dataset": "/faces"}))
    assert resolved.patience == 20
    assert EarlyStopping(resolved.patience).counts == "epochs"


def test_lambda1_is_searched_with_four_frozen_layers() -> None:
    for data in ({}, {"dataset": "/faces"}):
        resolved = resolve(SweepSettings.model_validate({"preset": "lambda1", **data}))
        assert (resolved.freeze_d, resolved.strategy, resolved.subset) == (4, "inverse", "extended")


def test_the_last_model_of_the_report() -> None:
    final = resolve(SweepSettings(preset="final", dataset="/faces"))
    assert (final.lambda_reconstruction, final.freeze_d, final.subset) == (50, 4, "extended")
    assert (final.trials, final.bundle) == (1, "default")


def test_alternate_with_both_ways_to_hold_it() -> None:
    alternate = resolve(SweepSettings(preset="alternate", dataset="/faces"))
    assert alternate.strategy == "alternate"
    assert [axis.partition("=")[0] for axis in alternate.space] == ["lambda_reconstruction", "freeze_d"]


@pytest.mark.parametrize("name", preset.NAMES)
def test_drawn_faces_are_small_work(name: str) -> None:
    resolved = resolve(SweepSettings.model_validate({"preset": name}))
    assert resolved.max_steps is not None
    assert resolved.trials is not None
    images = resolved.trials * resolved.max_steps * resolved.batch_size
    share = ((resolved.size or 128) / 128) ** 2  # the shipped bundle's are of 128 pixels
    assert images * share <= 12_000
    assert resolved.validation_images <= 64


@pytest.mark.parametrize("name", preset.NAMES)
def test_a_file_begins_with_its_command_and_its_cost(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    comment = [line for line in lines if line.startswith("#")]
    assert lines[: len(comment)] == comment
    command = "attgan sweep --dataset" if name == "default" else f"attgan sweep --preset {name} "
    assert command in comment[0]
    assert any(line.startswith("# GPU: ") for line in comment)
    assert any(line.startswith("# Drawn faces") for line in comment)


def test_the_costs_are_those_of_the_settings() -> None:
    for name in preset.NAMES:
        text = (FOLDER / f"{name}.yaml").read_text()
        drawn = resolve(SweepSettings.model_validate({"preset": name}))
        words = f"{drawn.trials} trial{'s' if drawn.trials != 1 else ''} of {drawn.max_steps} steps."
        assert words in text
        full = resolve(SweepSettings.model_validate({"preset": name, "dataset": "/faces"}))
        assert f"# GPU: {full.trials} trial" in text


def test_presets_travel_with_the_package(tmp_path: Path) -> None:
    """As on a node of a cluster, which gets a copy of the packages and nothing else."""
    for package in ("attgan", "flows"):
        shutil.copytree(
            ROOT / package, tmp_path / "copy" / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    program = "from flows.sweep import preset; print(preset.__file__, *map(preset.read_preset, preset.NAMES))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "copy")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    place, _, read = ended.stdout.partition(" ")
    assert place == str(tmp_path / "copy/flows/sweep/preset.py")
    assert read.count("space=") == 2 * len(preset.NAMES)  # each with that of its drawn faces
