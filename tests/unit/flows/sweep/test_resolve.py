"""What counts of all that a sweep is told, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.settings import SweepSettings
from flows.sweep.resolve import datasets_of, resolve
from flows.sweep.space import NAMES
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
    assert resolved(preset="lambda1", space=["dataset=a,b"]).max_steps is None
    file = file_of(tmp_path, {"settings": {"dataset": "faces"}})
    assert resolved(preset="lambda1", space_file=file).max_steps is None


def test_a_file_may_say_what_to_do_with_drawn_faces(tmp_path: Path) -> None:
    file = file_of(tmp_path, {"settings": {"batch_size": 32}, "drawn": {"settings": {"batch_size": 4}}})
    assert resolved(space_file=file).batch_size == 4
    assert resolved(space_file=file, dataset="faces").batch_size == 32


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


def test_no_more_trials_than_a_space_has() -> None:
    for search in ("grid", "random", "optuna"):
        assert resolved(space=["freeze_d=0,1,2"], search=search, trials=50).trials == 3
    assert resolved(space=["freeze_d=0,1,2"], trials=2).trials == 2


def test_the_datasets_are_those_that_are_named_or_searched() -> None:
    assert datasets_of(resolved()) == []
    assert datasets_of(resolved(dataset="/faces")) == ["/faces"]
    assert datasets_of(resolved(space=["dataset=/a,/b"])) == ["/a", "/b"]


def test_the_place_is_the_presets_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved(preset="lambda1").place == str(tmp_path / ".local/sweep/lambda1")
    assert resolved(destination="s3://bucket/x/").place == "s3://bucket/x"


def test_a_direction_for_every_metric() -> None:
    assert resolved(metric="edited_accuracy").mode == resolved(metric="psnr").mode == "max"
    assert resolved(metric="discriminator_loss").mode == resolved(metric="reconstruction").mode == "min"


def test_all_that_can_be_searched_can_be_fixed() -> None:
    assert set(SweepSettings.model_fields) > NAMES


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        ({"space": []}, "space-empty", "--space"),
        ({"preset": "final", "trials": 3}, "space-empty", "--space"),
        ({"preset": "lambda1", "lambda_reconstruction": 5}, "space-empty", "--space"),
        ({"space": ["freeze_d=0,4"], "freeze_d": 2}, "setting-fixed-and-searched", "--freeze-d 2"),
        ({"space": ["learning_rate=log:1e-5:1e-3"], "search": "grid"}, "grid-with-range", "--search grid"),
        ({"space": ["width=8,16"]}, "bundle-fixes-shape", "--space width=8,16"),
        ({"width": 8}, "bundle-fixes-shape", "--width 8"),
        ({"attributes": ["Male", "Young"]}, "bundle-fixes-shape", "--attributes Male Young"),
        (
            {"space": ["fresh_discriminator=true,false"], "from_scratch": True},
            "scratch-with-discriminator",
            "--space fresh_discriminator=true,false",
        ),
        ({"from_scratch": True, "attribute": "Glasses"}, "attribute-unknown", "--attribute Glasses"),
        ({"from_scratch": True, "attributes": ["Hat"]}, "attribute-unknown", "--attributes"),
        ({"preset": "lambda1", "grace_steps": 5}, "grace-without-asha", "--grace-steps 5"),
        ({"space": ["seed=" + ",".join(map(str, range(1001)))]}, "grid-too-large", "--space"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    options: dict[str, Any], code: str, option: str
) -> None:
    assert refusal(code, **options).startswith(f"{option}: ")


def test_asha_can_be_turned_off_in_a_preset_that_has_it() -> None:
    assert resolved().scheduler == "asha"
    assert resolved(scheduler="none").grace_steps is None


@pytest.mark.parametrize(
    ("content", "code", "name"),
    [
        ("a: [", "space-file-unreadable", ""),
        ("- 1", "space-file-malformed", ""),
        ("", "space-file-malformed", ""),
        ({"spcae": {}}, "space-file-malformed", "spcae"),
        ({"settings": {"batch_sizes": 3}}, "setting-not-in-file", "settings.batch_sizes"),
        ({"settings": {"destination": "x"}}, "setting-not-in-file", "settings.destination"),
        ({"drawn": {"settings": {"preset": "x"}}}, "setting-not-in-file", "settings.preset"),
        ({"settings": {"batch_size": 0}}, "setting-invalid", "--batch-size 0"),
        ({"settings": {"metric": "beauty"}}, "setting-invalid", "--metric beauty"),
        ({"space": {"freeze_d": []}}, "axis-empty", "space: freeze_d"),
        ({"space": {"freeze_d": None}}, "axis-empty", "space: freeze_d"),
        ({"space": {"freeze_d": [9]}}, "setting-invalid", "space: freeze_d 9"),
        ({"space": {"lr": [1]}}, "setting-unknown", "space"),
        ({"space": {"dataset": ["a,b"]}}, "value-with-comma", "space: dataset a,b"),
        (
            {"space": {"freeze_d": [1]}, "settings": {"freeze_d": 2}},
            "setting-fixed-and-searched",
            "--freeze-d 2",
        ),
        ({"settings": {"from_scratch": True, "bundle": "x"}}, "scratch-with-bundle", "--from-scratch"),
    ],
)
def test_a_file_that_is_not_in_order_is_named(tmp_path: Path, content: object, code: str, name: str) -> None:
    file = file_of(tmp_path, content)
    assert refusal(code, space_file=file).startswith(f"--space-file {file}: {name}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = str(tmp_path / "none.yaml")
    assert refusal("file-missing", space_file=url).startswith(f"--space-file {url}: ")


def test_a_space_of_ones_own_leaves_drawn_faces_what_suits_them() -> None:
    """The preset searches the learning rate; where another space does not, that for drawn faces is in force."""
    own = resolved(space=["lambda_reconstruction=1,10"])
    assert (own.learning_rate, own.discriminator_steps) == (1e-3, 2)
    assert resolved().discriminator_steps == 2


def test_fresh_networks_that_see_drawn_faces_are_small() -> None:
    assert (resolved(from_scratch=True).size, resolved(from_scratch=True).width) == (64, 8)
    assert resolved(from_scratch=True, width=12).width == 12
    assert resolved(from_scratch=True, space=["width=4,8"]).space == ["width=4,8"]
    assert resolved(from_scratch=True, dataset="faces").width is None
    small = resolved(from_scratch=True)
    assert resolve(small) == small


def test_a_bundle_has_no_use_for_the_shape_that_a_preset_or_a_file_names(tmp_path: Path) -> None:
    file = file_of(tmp_path, {"settings": {"from_scratch": True, "size": 64}})
    chosen = resolved(space_file=file, bundle="default", space=["freeze_d=0,4"])
    assert (chosen.size, chosen.from_scratch) == (None, False)


@pytest.mark.parametrize(
    ("metric", "axis"),
    [
        ("generator_loss", "lambda_reconstruction=1,10"),
        ("generator_loss", "lambda_attributes=uniform:1:10"),
        ("discriminator_loss", "lambda_classification=1,2"),
        ("critic", "adversarial=wgan,lsgan"),
    ],
)
def test_a_loss_does_not_compare_trials_that_weigh_it_differently(metric: str, axis: str) -> None:
    assert axis.partition("=")[0] in refusal("metric-not-comparable", metric=metric, space=[axis])
    assert resolved(metric=metric, space=["freeze_d=0,4"]).metric == metric


@pytest.mark.parametrize(
    ("content", "code", "name"),
    [
        ("space: {freeze_d: [0, 1], freeze_d: [2, 3]}", "space-file-unreadable", "freeze_d"),
        ("space: {freeze_d: [on, off]}", "number-as-switch", "freeze_d"),
        ("settings: {freeze_d: off}\nspace: {batch_size: [8, 16]}", "number-as-switch", "--freeze-d"),
        ("settings: {attempts: on}\nspace: {batch_size: [8, 16]}", "number-as-switch", "--attempts"),
        ("freeze_d: [0, 1]", "space-file-malformed", "freeze_d"),
        ("space:", "space-empty", "--space"),
        ("[" * 3000 + "]" * 3000, "space-file-unreadable", "--space-file"),
    ],
)
def test_what_yaml_would_let_pass(tmp_path: Path, content: str, code: str, name: str) -> None:
    assert name in refusal(code, space_file=file_of(tmp_path, content))


def test_a_heading_without_settings_is_none(tmp_path: Path) -> None:
    file = file_of(tmp_path, "settings:\n# freeze_d: 1\nspace: {flip: [on, off]}\ndrawn:\n")
    assert resolved(space_file=file).space == ["flip=true,false"]
