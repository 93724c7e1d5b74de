"""Judges by URL: a folder of their own, or a bundle's classifier."""

from pathlib import Path

from attgan.evaluation.judge import Judge, save_judge
from attgan.models import (
    AttributeClassifier,
    ClassifierConfig,
    Generator,
    GeneratorConfig,
    fresh,
    save_bundle,
)
from attgan.models.folder import Folder
from flows.training.judges import open_judge
from tests.support.refusals import refused

NAMES = ("Eyeglasses", "Male")


def classifier(seed: int) -> AttributeClassifier:
    return fresh(AttributeClassifier, ClassifierConfig(n_attributes=2, image_size=64, width=2), seed).eval()


def write_bundle(folder: Path, network: AttributeClassifier | None) -> None:
    generator = fresh(Generator, GeneratorConfig(n_attributes=2, image_size=64, width=2), 0)
    save_bundle(folder, generator=generator, classifier=network, attributes=NAMES, licence="L", about="-")


def test_a_judges_folder_and_a_bundles_classifier_are_found_alike(tmp_path: Path) -> None:
    judge = Judge(classifier(1), NAMES, None, "a test's")
    save_judge(Folder(tmp_path / "judge"), judge)
    write_bundle(tmp_path / "bundle", judge.classifier)
    found = [open_judge(str(tmp_path / name)) for name in ("judge", "bundle")]
    assert [each.digest for each in found] == [judge.digest] * 2
    assert found[0].about == "a test's"
    assert found[1].about.startswith("the classifier of the bundle ")


def test_what_is_no_judge_is_refused_by_its_option(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", None)
    (tmp_path / "empty").mkdir()
    for name, code in (
        ("bundle", "classifier-missing"),
        ("empty", "evaluator-missing"),
        ("nowhere", "directory-missing"),
    ):
        with refused(code) as caught:
            open_judge(str(tmp_path / name))
        assert caught.value.line.startswith("--judge ")
