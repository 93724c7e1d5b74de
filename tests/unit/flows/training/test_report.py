"""What a training says of itself."""

from pathlib import Path

from attgan.evaluation.evaluator import Evaluator, save_evaluator
from attgan.models import AttributeClassifier, ClassifierConfig, fresh
from attgan.models.folder import Folder
from flows.settings import TrainSettings
from flows.training.plan import prepare
from flows.training.report import describe, result
from flows.training.trial import train_trial


def test_a_finished_run_shows_the_licence_that_its_bundle_has(dataset: Path, tmp_path: Path) -> None:
    settings = TrainSettings(
        dataset=str(dataset),
        destination=str(tmp_path / "out"),
        size=64,
        width=2,
        attributes=["Eyeglasses"],
        batch_size=8,
        max_steps=1,
        licence="Only on Sundays",
    )
    assert describe(prepare(settings))["licence"] == "Only on Sundays"
    train_trial(settings)
    again = prepare(settings.model_copy(update={"licence": "Only on Mondays"}))
    assert again.finished is not None
    assert describe(again)["licence"] == "Only on Sundays"
    assert result(again, again.finished, 0.0)["licence"] == "Only on Sundays"


def test_an_evaluators_licence_is_shown_too(dataset: Path, tmp_path: Path) -> None:
    network = fresh(AttributeClassifier, ClassifierConfig(n_attributes=1, image_size=64, width=2), 0).eval()
    evaluator = Evaluator(network, ("Eyeglasses",), None, "a test's", licence="for study only")
    save_evaluator(Folder(tmp_path / "evaluator"), evaluator)
    settings = TrainSettings(
        dataset=str(dataset),
        destination=str(tmp_path / "out"),
        size=64,
        width=2,
        attributes=["Eyeglasses"],
        batch_size=8,
        evaluator=str(tmp_path / "evaluator"),
    )
    assert describe(prepare(settings))["evaluator's licence"] == "for study only"
