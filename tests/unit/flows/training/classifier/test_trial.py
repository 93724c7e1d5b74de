"""A classifier is trained for a bundle and put into a copy of it, without Ray or Prefect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attgan.attributes import PUBLISHED
from attgan.models import Generator, GeneratorConfig, fresh, load_bundle, save_bundle
from flows.settings import ClassifierSettings
from flows.training.classifier.plan import prepare
from flows.training.classifier.trial import classifier_trial
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.refusals import refused

MakeSettings = Callable[..., ClassifierSettings]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("places")
    write_drawn_dataset(folder / "dataset", 60)
    save_bundle(
        folder / "bundle",
        generator=fresh(Generator, GeneratorConfig(image_size=64, width=2), 0),
        attributes=PUBLISHED,
        licence="Only on Sundays",
        about="An odd generator.\n\n- trained: never",
        metrics={"psnr": 21.5, "tiny": 1e-9},
        dtype="float16",
    )
    return {"dataset": str(folder / "dataset"), "bundle": str(folder / "bundle")}


@pytest.fixture
def settings(places: dict[str, str], tmp_path: Path) -> MakeSettings:
    def make(**options: Any) -> ClassifierSettings:
        usual = {
            "destination": str(tmp_path / "out"),
            "max_steps": 12,
            "batch_size": 8,
            "width": 2,
            "cpus": 1,
        }
        return ClassifierSettings.model_validate(places | usual | options)

    return make


def save_other(folder: Path) -> str:
    """A bundle with another generator."""
    other = fresh(Generator, GeneratorConfig(image_size=64, width=2), 1)
    save_bundle(folder, generator=other, attributes=PUBLISHED, licence="Another's", about="Another.")
    return str(folder)


def content(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def test_the_bundle_is_the_same_and_has_a_classifier(settings: MakeSettings, places: dict[str, str]) -> None:
    before = content(places["bundle"])
    outcome = classifier_trial(settings())
    assert content(places["bundle"]) == before
    made = load_bundle(settings().destination)
    assert made.digest == outcome["digest"]
    assert made.classifier is not None
    assert made.classifier.config.n_attributes == 13
    after = content(settings().destination)
    assert set(after) == set(before) | {"classifier.safetensors"}
    assert after["generator.safetensors"] == before["generator.safetensors"]
    assert made.config.licence == "Only on Sundays; trained on the dataset all: the terms of its images apply"
    assert "An odd generator.\n\n- trained: never" in made.card
    assert "| psnr | 21.5 |" in made.card
    assert f"| Eyeglasses | {outcome['scores'][6]['share']:.3f} |" in made.card
    assert [score["attribute"] for score in outcome["scores"]] == list(PUBLISHED)


def test_a_finished_run_is_recognised_and_a_stopped_one_resumes(settings: MakeSettings) -> None:
    stopped = classifier_trial(settings(), should_stop=lambda: True)
    assert stopped == {"ended": "stopped", "reason": "stopped on demand", "step": 0}
    assert prepare(settings()).finished is None
    outcome = classifier_trial(settings())
    assert outcome["step"] == 12
    assert prepare(settings()).finished == outcome
    assert classifier_trial(settings()) == outcome
    with refused("run-settings-differ"):
        prepare(settings(seed=1))


def test_another_bundle_is_refused_and_the_licence_is_what_stands(
    settings: MakeSettings, tmp_path: Path
) -> None:
    classifier_trial(settings())
    other = save_other(tmp_path / "other")
    with refused("run-bundle-differs"):
        prepare(settings(bundle=other))
    stands = load_bundle(settings().destination).config.licence
    again = prepare(settings(licence="Only on Mondays"))
    assert again.finished is not None
    assert again.licence == stands
    assert "Mondays" not in stands


def test_a_foreign_bundle_is_never_replaced(settings: MakeSettings) -> None:
    out = Path(settings().destination)
    save_other(out)
    (out / "training").mkdir()
    (out / "training" / "run.json").write_text("{}")
    before = content(out)
    with refused("bundle-exists"):
        classifier_trial(settings())
    for name in before:
        (out / name).unlink()
    classifier_trial(settings(), should_stop=lambda: True)
    save_other(out)
    with refused("bundle-exists"):
        prepare(settings())
    assert content(out) == before


def test_a_run_killed_before_its_result_was_noted_is_finished(settings: MakeSettings) -> None:
    outcome = classifier_trial(settings())
    result = Path(settings().destination) / "training" / "result.json"
    result.unlink()
    assert prepare(settings()).finished is None
    assert classifier_trial(settings()) == outcome == json.loads(result.read_text())


def test_mistakes_are_found_before_anything_is_written(
    settings: MakeSettings, places: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name, size, attributes in (("large", 96, PUBLISHED), ("odd", 64, ["Antlers"])):
        config = GeneratorConfig(image_size=size, width=2, n_attributes=len(attributes))
        generator = fresh(Generator, config, 0)
        save_bundle(tmp_path / name, generator=generator, attributes=attributes, licence="x", about="x")
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"destination": places["bundle"]}, "destination-overlaps-source"),
        ({"bundle": str(tmp_path / "empty")}, "bundle-missing"),
        ({"bundle": str(tmp_path / "large")}, "size-above-stored"),
        ({"bundle": str(tmp_path / "odd")}, "attribute-unknown"),
        ({"destination": str(tmp_path / "large")}, "bundle-exists"),
    ]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for options, code in mistakes:
        with refused(code) as caught:
            prepare(settings(**options))
        assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
