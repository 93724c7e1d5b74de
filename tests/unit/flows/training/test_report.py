"""What a training says of itself."""

from collections.abc import Callable

from flows.settings import TrainSettings
from flows.training.prepared_training import prepare
from flows.training.report import describe, result
from flows.training.trial import train_trial


def test_a_finished_run_shows_the_licence_that_its_bundle_has(
    small_settings: Callable[..., TrainSettings],
) -> None:
    settings = small_settings(max_steps=1, licence="Only on Sundays")
    assert describe(prepare(settings))["licence"] == "Only on Sundays"
    train_trial(settings)
    again = prepare(settings.model_copy(update={"licence": "Only on Mondays"}))
    assert again.finished is not None
    assert describe(again)["licence"] == "Only on Sundays"
    assert result(again, again.finished, 0.0)["licence"] == "Only on Sundays"
