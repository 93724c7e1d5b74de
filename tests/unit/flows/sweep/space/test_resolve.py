"""What counts of all that a sweep is told, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.settings import SweepSettings
from flows.sweep.space.resolve import resolve
from tests.support.refusals import refused


def resolved(**options: Any) -> SweepSettings:
    return resolve(SweepSettings.model_validate(options))


def refusal(code: str, **options: Any) -> str:
    """The line of a refusal with this code."""
    with refused(code) as caught:
        resolved(**options)
    assert "\n" not in str(caught.value)
    return caught.value.line


def file_of(folder: Path, content: object) -> str:
    path = folder / "space.yaml"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_an_option_comes_before_the_file_that_before_the_preset_that_before_the_default(
    tmp_path: Path,
) -> None:
    file = file_of(tmp_path, {"settings": {"lambda_reconstruction": 7, "freeze_d": 3}})
    chosen = resolved(preset="final", dataset="faces", space_file=file, freeze_d=2)
    assert (chosen.freeze_d, chosen.lambda_reconstruction) == (2, 7)
    assert (chosen.subset, chosen.batch_size) == ("extended", 128)


def test_small_sizes_are_for_drawn_faces_alone(tmp_path: Path) -> None:
    assert resolved(preset="lambda1").max_steps is not None
    assert resolved(preset="lambda1", dataset="faces").max_steps is None
    file = file_of(tmp_path, {"settings": {"dataset": "faces"}})
    assert resolved(preset="lambda1", space_file=file).max_steps is None


def test_an_option_fixes_what_the_preset_searches() -> None:
    chosen = resolved(preset="alternate", freeze_d=4)
    assert chosen.space == ["lambda_reconstruction=50,100"]
    assert (chosen.freeze_d, chosen.trials) == (4, 2)


def test_a_space_replaces_that_of_the_preset_and_brings_its_own_search() -> None:
    chosen = resolved(space=["freeze_d=0,4", "lambda_reconstruction=1,10,50,100"])
    assert (chosen.search, chosen.trials, chosen.scheduler) == ("grid", 8, "none")
    chosen = resolved(space=["learning_rate=log:1e-5:1e-3"])
    assert (chosen.search, chosen.trials) == ("random", 10)


def test_a_file_is_yaml_as_people_write_it(tmp_path: Path) -> None:
    file = file_of(
        tmp_path,
        """
        # what I want to know
        settings: {epochs: 3, search: optuna, trials: 7}
        space:
          learning_rate: log:1e-5:1e-3
          fresh_discriminator: [yes, no]
          freeze_d: [0, 4]
          lambda_reconstruction: 50
          clip_gradients: [null, 1]
        """,
    )
    chosen = resolved(space_file=file, dataset="faces")
    assert (chosen.search, chosen.trials, chosen.epochs) == ("optuna", 7, 3)
    assert chosen.space == [
        "learning_rate=log:1e-05:0.001",
        "fresh_discriminator=true,false",
        "freeze_d=0,4",
        "lambda_reconstruction=50",
        "clip_gradients=none,1",
    ]


def test_starting_from_scratch_and_from_a_bundle_exclude_each_other() -> None:
    assert resolved(preset="shortcut").bundle is None
    assert resolved(preset="lambda1", from_scratch=True).bundle is None
    assert resolved(preset="lambda1", bundle=None).from_scratch
    assert resolved(preset="lambda1").bundle == "default"
    refusal("scratch-with-bundle", from_scratch=True, bundle="model")


def test_a_form_that_sends_every_field_leaves_the_preset_its_say() -> None:
    """The UI's form may fill all fields with their defaults."""
    form = SweepSettings().model_dump() | {"preset": "final", "freeze_d": 2}
    for sent in (form, {name: value for name, value in form.items() if value is not None}):
        chosen = resolved(**sent)
        assert (chosen.lambda_reconstruction, chosen.freeze_d) == (50, 2)
    assert resolved(preset="final", lambda_reconstruction=100).lambda_reconstruction == 100


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        ({"preset": "final", "trials": 3}, "space-empty", "--space"),
        ({"space": ["freeze_d=0,4"], "freeze_d": 2}, "setting-fixed-and-searched", "--freeze-d 2"),
        ({"space": ["learning_rate=log:1e-5:1e-3"], "search": "grid"}, "grid-with-range", "--search grid"),
        ({"width": 8}, "bundle-fixes-shape", "--width 8"),
        (
            {"space": ["fresh_discriminator=true,false"], "from_scratch": True},
            "scratch-with-discriminator",
            "--space fresh_discriminator=true,false",
        ),
        ({"from_scratch": True, "attribute": "Glasses"}, "attribute-unknown", "--attribute Glasses"),
        ({"preset": "lambda1", "grace_steps": 5}, "grace-without-asha", "--grace-steps 5"),
        ({"space": ["seed=" + ",".join(map(str, range(1001)))]}, "grid-too-large", "--space"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    options: dict[str, Any], code: str, option: str
) -> None:
    assert refusal(code, **options).startswith(f"{option}: ")


@pytest.mark.parametrize(
    ("content", "code", "name"),
    [
        ("a: [", "space-file-unreadable", ""),
        ("- 1", "space-file-malformed", ""),
        ({"spcae": {}}, "space-file-malformed", "spcae"),
        ({"settings": {"batch_sizes": 3}}, "setting-not-in-file", "settings.batch_sizes"),
        ({"settings": {"batch_size": 0}}, "setting-invalid", "--batch-size 0"),
        ({"space": {"freeze_d": []}}, "axis-empty", "space: freeze_d"),
        ({"space": {"lr": [1]}}, "setting-unknown", "space"),
        ({"space": {"subset": ["only,all"]}}, "value-with-comma", "space: subset only,all"),
        ({"settings": {"from_scratch": True, "bundle": "x"}}, "scratch-with-bundle", "--from-scratch"),
    ],
)
def test_a_file_that_is_not_in_order_is_named(tmp_path: Path, content: object, code: str, name: str) -> None:
    file = file_of(tmp_path, content)
    assert refusal(code, space_file=file).startswith(f"--space-file {file}: {name}")


@pytest.mark.parametrize(
    ("metric", "axis"),
    [("generator_loss", "lambda_reconstruction=1,10"), ("critic", "adversarial=wgan,lsgan")],
)
def test_a_loss_does_not_compare_trials_that_weigh_it_differently(metric: str, axis: str) -> None:
    assert axis.partition("=")[0] in refusal("metric-not-comparable", metric=metric, space=[axis])
    assert resolved(metric=metric, adversarial="lsgan", space=["freeze_d=0,4"]).metric == metric


def test_what_is_measured_on_a_strategys_own_edits_does_not_compare_strategies() -> None:
    space = ["strategy=inverse,alternate"]
    for metric in ("reconstruction", "attributes", "fake_accuracy"):
        assert "strategy" in refusal("metric-not-comparable", metric=metric, space=space)
        assert resolved(metric=metric, space=["freeze_d=0,4"]).metric == metric
    assert resolved(metric="ssim", second_metric="target_accuracy", space=space).metric == "ssim"


@pytest.mark.parametrize("metric", ["generator_loss", "adversarial"])
def test_a_loss_with_the_level_of_a_wasserstein_critic_does_not_compare_trials(metric: str) -> None:
    space = ["freeze_d=0,4"]
    assert f"--metric {metric}" in refusal("metric-level-arbitrary", metric=metric, space=space)
    assert "--second-metric" in refusal("metric-level-arbitrary", second_metric=metric, space=space)
    assert resolved(metric="critic", space=space).metric == "critic", "a difference has no level"
    paired = {"strategy": "paired", "space": ["learning_rate=1e-4,1e-3"]}
    assert resolved(metric="generator_loss", **paired).metric == "generator_loss"


def test_a_metric_that_no_trial_measures_is_refused() -> None:
    paired = {"strategy": "paired", "space": ["learning_rate=1e-4,1e-3"]}
    assert "critic_accuracy" in refusal("metric-not-measured", metric="critic_accuracy", **paired)
    assert "--second-metric" in refusal("metric-not-measured", second_metric="fake_accuracy", **paired)
    assert resolved(second_metric="steps", **paired).metric == "quality"
    refusal("metric-not-comparable", space=["strategy=paired,inverse"])


@pytest.mark.parametrize(
    ("content", "code", "name"),
    [
        ("space: {freeze_d: [0, 1], freeze_d: [2, 3]}", "space-file-unreadable", "freeze_d"),
        ("space: {freeze_d: [on, off]}", "number-as-switch", "freeze_d"),
        ("space:", "space-empty", "--space"),
        ("[" * 3000 + "]" * 3000, "space-file-unreadable", "--space-file"),
    ],
)
def test_what_yaml_would_let_pass(tmp_path: Path, content: str, code: str, name: str) -> None:
    assert name in refusal(code, space_file=file_of(tmp_path, content))
