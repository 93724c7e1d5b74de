"""When runs end by themselves, and that the rules survive a checkpoint."""

from typing import Any

import pytest

from attgan.training.early_stopping import AlignmentStopRule, EarlyStopping, StopRule


def after(rule: StopRule, rows: list[dict[str, float]]) -> Any:
    for row in rows:
        rule = rule.after(row, epoch_end=True)
    return rule


def losses(*values: float) -> list[dict[str, float]]:
    return [{"generator_loss": value} for value in values]


def test_it_stops_after_patience_epochs_without_a_better_loss() -> None:
    rule = after(EarlyStopping(3), losses(5, 4, 4, 6))
    assert rule.reason is None
    assert "3 epochs" in after(rule, losses(4)).reason
    assert after(rule, losses(3.9, 9, 9)).reason is None
    assert after(EarlyStopping(0), losses(*range(60))).reason is None, "patience 0 never stops"


@pytest.mark.parametrize("checks", [1, 4])
def test_how_often_it_validates_in_an_epoch_makes_no_difference(checks: int) -> None:
    rule, epochs = EarlyStopping(20), 0
    while rule.reason is None:
        epochs += 1
        for check in range(1, checks + 1):
            # Between the ends of the epochs the loss may be anything.
            loss = 1.0 if check == checks else -float(epochs)
            rule = rule.after({"generator_loss": loss}, epoch_end=check == checks)
    assert epochs == 21, "the first epoch's loss, and 20 epochs without a better one"


def test_a_run_of_a_version_that_counted_validations_keeps_counting_them() -> None:
    old = EarlyStopping(3).restored({"best": 4.0, "waited": 2})
    assert old.counts == "validations"
    assert old.reason is None
    ended = old.after({"generator_loss": 5.0}, epoch_end=False)
    assert "3 validations" in (ended.reason or "")
    assert EarlyStopping(3).restored(ended.to_json()) == ended


def aligned(loss: float, critic: float = 0.95, classifier: float = 0.95) -> dict[str, float]:
    return {"discriminator_loss": loss, "critic_accuracy": critic, "classifier_accuracy": classifier}


IN_STEP = AlignmentStopRule(critic_accuracy=0.9, classifier_accuracy=0.9, patience=2, flatness=0.1)


@pytest.mark.parametrize(
    ("rows", "stops"),
    [
        # No tenth better than -10, twice.
        ([aligned(-10), aligned(-10.5), aligned(-10.9)], True),
        # -11.5 is.
        ([aligned(-10), aligned(-10.5), aligned(-11.5)], False),
        ([aligned(-10), aligned(-10), aligned(-10, critic=0.8)], False),
        ([aligned(-10), aligned(-10), aligned(-10, classifier=0.8)], False),
        # What counts is the last.
        ([aligned(-10, critic=0.1), aligned(-10), aligned(-10)], True),
        ([aligned(-10), aligned(-10)], False),
        ([aligned(2), aligned(1), aligned(0.5), aligned(0.2)], False),
    ],
)
def test_alignment_stops_when_accurate_and_flat(rows: list[dict[str, float]], stops: bool) -> None:
    assert bool(after(IN_STEP, rows).reason) == stops
