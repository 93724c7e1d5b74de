"""A plan's trials are whole trainings; a sweep's folder is that of one sweep, and refuses another by its option."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from attgan.models import Generator, GeneratorConfig, fresh, save_bundle
from flows.settings import SweepSettings
from flows.storage import open_store
from flows.sweep.fingerprint import SWEEP
from flows.sweep.plan import Places, SweepPlan, make_plan, resolve, write_or_check
from flows.sweep.prerequisites.places import check_before
from flows.sweep.records import new_record, write_record
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused

Options = dict[str, Any]
DIFFERS = "sweep-settings-differ"


def plan(options: Options, places: Places, **changes: Any) -> SweepPlan:
    return make_plan(resolve(SweepSettings.model_validate(options | changes)), places=places)


def begin(options: Options, places: Places, **changes: Any) -> SweepPlan:
    made = plan(options, places, **changes)
    write_or_check(made)
    return made


def test_trials_are_trainings_of_the_sweeps_settings_and_their_own(options: Options, places: Places) -> None:
    made = plan(options, places, cpus_per_trial=2, epochs=7, licence="mine", cache_gb=1)
    assert [trial.number for trial in made.known] == list(range(6)) == list(range(made.count))
    trial = made.known[3]
    assert trial.changes == {"lambda_reconstruction": 10, "freeze_d": 4}
    settings = trial.settings
    assert (settings.lambda_reconstruction, settings.freeze_d, settings.epochs) == (10, 4, 7)
    assert (settings.dataset, settings.bundle, settings.evaluator) == dataclasses.astuple(places)
    assert (settings.cpus, settings.gpus, settings.licence, settings.cache_gb) == (2, 0, "mine", 1)
    assert trial.url == settings.destination == f"{options['destination']}/trials/003"
    assert (trial.name, trial.label) == ("003", "λ1 10, FreezeD 4")


def test_the_same_command_plans_the_same_trials(options: Options, places: Places) -> None:
    random = options | {"space": ["learning_rate=log:1e-5:1e-3", "freeze_d=int:0:5"], "seed": 3}
    assert plan(random, places).known == plan(random, places).known
    assert plan(random, places, trials=4).known == plan(random, places).known[:4]
    assert plan(random, places, seed=4).known[0].changes != plan(random, places).known[0].changes


def test_a_search_that_suggests_goes_on_after_what_it_has_suggested(options: Options, places: Places) -> None:
    made = begin(options, places, search="optuna")
    assert made.known == []
    for number, changes in enumerate(
        ({"freeze_d": 4, "lambda_reconstruction": 50.0}, {"freeze_d": 0, "lambda_reconstruction": 1.0})
    ):
        trial = made.trial(number, changes)
        write_record(open_store(trial.url), new_record(number, trial.changes, trial.label))
    again = plan(options, places, search="optuna")
    assert [trial.changes for trial in again.known] == [
        {"freeze_d": 4, "lambda_reconstruction": 50},
        {"freeze_d": 0, "lambda_reconstruction": 1},
    ]


@pytest.mark.parametrize(
    ("changes", "code", "option"),
    [
        ({"space": ["lambda_reconstruction=1,10"]}, DIFFERS, "--space lambda_reconstruction=1,10: "),
        ({"seed": 1}, DIFFERS, "--seed 1: "),
        ({"search": "random"}, DIFFERS, "--search random: "),
        ({"trials": 5}, "trials-fewer", "--trials 5: "),
        ({"gpus_per_trial": 0.5}, DIFFERS, "--gpus-per-trial 0.5: "),
    ],
)
def test_another_sweep_is_refused_by_the_option_that_differs(
    options: Options, places: Places, changes: Options, code: str, option: str
) -> None:
    begin(options, places)
    settings = resolve(SweepSettings.model_validate(options | changes))
    for call in (lambda: check_before(settings), lambda: begin(options, places, **changes)):
        with refused(code) as caught:
            call()
        assert caught.value.line.startswith(option)
        assert options["destination"] in caught.value.line


def test_a_presets_sweep_of_an_older_version_names_its_own_settings_and_continues_with_them(
    options: Options, places: Places
) -> None:
    """That version's preset mirrored, took bfloat16 on a GPU and froze nothing."""
    own = {"flip": True, "precision": "auto", "freeze_d": 0}
    preset = {name: value for name, value in options.items() if name != "space"} | {"preset": "lambda1"}
    begin(preset, places, **own)
    with refused(DIFFERS, "--flip false", "--flip true", "--precision auto", "--freeze-d 0", "attgan "):
        check_before(resolve(SweepSettings.model_validate(preset)))
    check_before(resolve(SweepSettings.model_validate(preset | own)))


@pytest.mark.parametrize(
    "changes",
    [
        {"parallel": 1, "attempts": 1, "hours": 2.5, "cpus_per_trial": 2, "cache_gb": 0, "licence": "other"},
        {"log_every": 3, "checkpoint_every": 7, "images": 77},
        {"preset": "final"},
    ],
    ids=["execution", "training", "another preset with the same settings"],
)
def test_what_changes_no_result_may_change(options: Options, places: Places, changes: Options) -> None:
    fixed = options | {"subset": "extended", "scheduler": "none", "flip": False, "precision": "float32"}
    before = begin(fixed, places)
    after = begin(fixed, places, **changes)
    assert [trial.changes for trial in before.known] == [trial.changes for trial in after.known]


def test_a_sweep_may_grow(options: Options, places: Places) -> None:
    begin(options, places, trials=2)
    assert begin(options, places, trials=4).count == 4
    with refused("trials-fewer"):
        begin(options, places, trials=3)


@pytest.mark.parametrize("name", ["dataset", "bundle", "evaluator"])
def test_other_contents_are_refused_and_other_places_are_not(
    options: Options, places: Places, tmp_path: Path, name: str
) -> None:
    begin(options, places)
    moved = tmp_path / "moved"
    moved.symlink_to(getattr(places, name))
    begin(options, dataclasses.replace(places, **{name: str(moved)}), **{name: str(moved)})
    write_drawn_dataset(tmp_path / "dataset", 21)
    shape = GeneratorConfig(n_attributes=3, image_size=64, width=2)
    names = ("Eyeglasses", "Male", "Young")
    generator = fresh(Generator, shape, 9)
    save_bundle(tmp_path / "bundle", generator=generator, attributes=names, licence="a", about="b")
    other = {"dataset": str(tmp_path / "dataset"), "bundle": str(tmp_path / "bundle"), "evaluator": None}[
        name
    ]
    with refused(DIFFERS) as caught:
        begin(options, dataclasses.replace(places, **{name: other}))
    assert caught.value.line.startswith(f"--{name}: ")


@pytest.mark.parametrize("text", ["{", '{"kind": "training", "schema_version": 1}'])
def test_a_damaged_sweep_is_named(options: Options, places: Places, text: str) -> None:
    made = begin(options, places)
    made.store.put(SWEEP, text.encode())
    with refused("sweep-damaged"):
        write_or_check(made)


def test_a_sweep_of_another_version_is_named(options: Options, places: Places) -> None:
    made = begin(options, places)
    content = json.loads(made.store.get(SWEEP).data)
    made.store.put(SWEEP, json.dumps(content | {"schema_version": 2}).encode())
    with refused("sweep-schema-unknown"):
        write_or_check(made)
