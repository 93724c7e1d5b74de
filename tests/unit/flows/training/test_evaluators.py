"""Judges by URL: a folder of their own, or a bundle's classifier."""

from pathlib import Path

from attgan.evaluation.evaluator import Evaluator, save_evaluator
from attgan.models import (
    AttributeClassifier,
    ClassifierConfig,
    Generator,
    GeneratorConfig,
    fresh,
    save_bundle,
)
from attgan.models.folder import Folder
from flows.training.evaluators import open_evaluator
from tests.support.refusals import refused

NAMES = ("Eyeglasses", "Male")


def classifier(seed: int) -> AttributeClassifier:
    return fresh(AttributeClassifier, ClassifierConfig(n_attributes=2, image_size=64, width=2), seed).eval()


def write_bundle(folder: Path, network: AttributeClassifier | None) -> None:
    generator = fresh(Generator, GeneratorConfig(n_attributes=2, image_size=64, width=2), 0)
    save_bundle(folder, generator=generator, classifier=network, attributes=NAMES, licence="L", about="-")


def test_an_evaluators_folder_and_a_bundles_classifier_are_found_alike(tmp_path: Path) -> None:
    evaluator = Evaluator(classifier(1), NAMES, None, "a test's")
    save_evaluator(Folder(tmp_path / "evaluator"), evaluator)
    write_bundle(tmp_path / "bundle", evaluator.classifier)
    found = [open_evaluator(str(tmp_path / name)) for name in ("evaluator", "bundle")]
    assert [each.digest for each in found] == [evaluator.digest] * 2
    assert found[0].about == "a test's"
    assert found[1].about.startswith("the classifier of the bundle ")


def test_what_is_no_evaluator_is_refused_by_its_option(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", None)
    (tmp_path / "empty").mkdir()
    for name, code in (
        ("bundle", "classifier-missing"),
        ("empty", "evaluator-missing"),
        ("nowhere", "directory-missing"),
    ):
        with refused(code) as caught:
            open_evaluator(str(tmp_path / name))
        assert caught.value.line.startswith("--evaluator ")
