"""What is refused before a sweep makes anything, and the licence lines that it shows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attgan.evaluation.evaluator import save_evaluator
from attgan.models.folder import Folder
from flows.settings import SweepSettings
from flows.storage.bundles import inspect
from flows.sweep.plan import Places, resolve
from flows.sweep.prerequisites.places import check_before, licence_lines
from flows.training.evaluators import open_evaluator
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused

Options = dict[str, Any]


@pytest.mark.parametrize(
    ("changes", "code", "option"),
    [
        ({"dataset": "/nowhere/faces"}, "directory-missing", "--dataset"),
        ({"evaluator": "/nowhere/evaluator"}, "directory-missing", "--evaluator"),
        ({"dataset": None, "attribute": "Bald"}, "attribute-unknown", "--attribute Bald"),
        ({"batch_size": 4096}, "batch-too-large", "--batch-size 4096"),
        ({"destination": "ftp://host/x"}, "url-scheme-unknown", "--destination"),
    ],
)
def test_mistakes_are_found_before_anything_is_made(
    options: Options, changes: Options, code: str, option: str
) -> None:
    with refused(code) as caught:
        check_before(resolve(SweepSettings.model_validate(options | changes)))
    assert caught.value.line.startswith(option)


def test_a_destination_inside_the_dataset_is_named_as_the_user_named_it(
    options: Options, places: Places
) -> None:
    options = options | {"dataset": places.dataset}
    for destination in (places.dataset, f"{places.dataset}/sweep"):
        with refused("destination-overlaps-source") as caught:
            check_before(resolve(SweepSettings.model_validate(options | {"destination": destination})))
        assert caught.value.line.startswith(f"--destination {destination}: ")


def test_seeds_are_searched_only_where_they_do_not_choose_the_faces_that_measure(
    options: Options, tmp_path: Path
) -> None:
    write_drawn_dataset(tmp_path / "unsplit", 40, validation=False)
    for axis in ("seed=0,1,2", "seed=5"):
        seeds = options | {"space": [axis], "batch_size": 4}
        check_before(resolve(SweepSettings.model_validate(seeds)))
        unsplit = resolve(SweepSettings.model_validate(seeds | {"dataset": str(tmp_path / "unsplit")}))
        with refused("seeds-not-comparable"):
            check_before(unsplit)


def test_faces_to_validate_each_strategy_on_have_to_be_there(options: Options, tmp_path: Path) -> None:
    write_drawn_dataset(tmp_path / "wearers", 40, glasses_share=1.0)
    wearers = options | {"dataset": str(tmp_path / "wearers"), "space": ["strategy=inverse,alternate"]}
    with refused("held-out-rows-missing", "--strategy alternate"):
        check_before(resolve(SweepSettings.model_validate(wearers)))


def test_a_dataset_without_test_faces_is_said_before_anything_is_trained(
    options: Options, tmp_path: Path
) -> None:
    assert check_before(resolve(SweepSettings.model_validate(options))) == []
    write_drawn_dataset(tmp_path / "wearers", 40, glasses_share=1.0)
    wearers = resolve(SweepSettings.model_validate(options | {"dataset": str(tmp_path / "wearers")}))
    (line,) = check_before(wearers)
    assert "test-faces-missing" in line


def test_the_starting_bundles_licence_and_another_one_of_the_evaluator(
    places: Places, tmp_path: Path
) -> None:
    assert places.bundle is not None
    assert places.evaluator is not None
    start = f"starts with the bundle {places.bundle} ({inspect(places.bundle).digest[:16]}): made for a test"
    assert licence_lines(places) == [start], "the evaluator has none"
    for licence, lines in (("made for a test", 0), ("for study only", 1)):
        evaluator = replace(open_evaluator(places.evaluator), licence=licence)
        save_evaluator(Folder(tmp_path / "evaluator"), evaluator)
        said = [f"edits are scored by {tmp_path / 'evaluator'} ({evaluator.digest[:16]}): {licence}"]
        assert licence_lines(replace(places, evaluator=str(tmp_path / "evaluator"))) == [start, *said[:lines]]
    assert licence_lines(replace(places, bundle=None)) == []
