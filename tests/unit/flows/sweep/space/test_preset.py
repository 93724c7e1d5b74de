"""The presets: the report's experiments, each ready to run with photographs and with drawn faces."""

import pytest

from attgan.training.early_stopping import EarlyStopping
from attgan.training.networks import precision_on
from flows.settings import SweepSettings
from flows.sweep.plan import describe
from flows.sweep.space import preset
from flows.sweep.space.resolve import resolve

SPACES = {
    "shortcut": ["shortcut_layers=0,1,2,4"],
    "alignment": ["fresh_discriminator=false,true"],
    "subset": ["subset=only,extended"],
    "freezed": ["freeze_d=0,1,2,3,4,5"],
    "lambda1": ["lambda_reconstruction=1,10,50,100"],
    "final": [],
}
EXPERIMENTS = [name for name in preset.NAMES if name != "default"]


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lambda1", {"freeze_d": 4, "strategy": "inverse", "subset": "extended"}),
        ("final", {"freeze_d": 4, "lambda_reconstruction": 50, "subset": "extended", "trials": 1}),
        ("alternate", {"strategy": "alternate"}),
    ],
)
def test_the_last_experiments_have_the_reports_settings(name: str, expected: dict[str, object]) -> None:
    resolved = resolve(SweepSettings.model_validate({"preset": name, "dataset": "/faces"}))
    assert expected.items() <= resolved.model_dump().items()
    assert resolved.patience == 20
    assert EarlyStopping(resolved.patience).counts == "epochs"
