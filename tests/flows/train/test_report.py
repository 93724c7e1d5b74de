"""What a training says of itself."""

from pathlib import Path

from flows.settings import TrainSettings
from flows.train.preparation import prepare
from flows.train.report import plan, result
from flows.train.trial import train_trial


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
    assert plan(prepare(settings))["licence"] == "Only on Sundays"
    train_trial(settings)
    again = prepare(settings.model_copy(update={"licence": "Only on Mondays"}))
    assert again.finished is not None
    assert plan(again)["licence"] == "Only on Sundays"
    assert result(again, again.finished, 0.0)["licence"] == "Only on Sundays"
