"""Where trials stand, told from their events alone."""

from pathlib import Path

import pytest

from flows.sweep.events import TrialEvent
from flows.sweep.plan import Places
from flows.sweep.trial_status import TrialStatus
from tests.support.finished_sweep import plan_at


@pytest.fixture
def status(places: Places, tmp_path: Path) -> TrialStatus:
    """Of four trials, and two more that a search will suggest."""
    plan = plan_at(str(tmp_path), places)
    return TrialStatus(plan.known, 6, "quality", "max", lambda number: f"suggested {number}")


def running(number: int, step: int, quality: float | None) -> TrialEvent:
    return TrialEvent(number, "running", step, 1000, {} if quality is None else {"quality": quality})


def test_trials_are_counted_by_their_state(status: TrialStatus) -> None:
    assert status.words() == "0 of 6 trials have ended; 6 waiting"
    for event in (
        running(0, 0, None),
        running(1, 10, 0.5),
        TrialEvent(1, "finished", 1000, 1000),
        TrialEvent(2, "failed", note="no luck"),
        running(3, 10, 0.5),
        TrialEvent(3, "stopped_early", 20, 1000),
        TrialEvent(5, "interrupted", 20, 1000),
    ):
        status.take(event)
    assert (
        status.words()
        == "3 of 6 trials have ended: 1 finished, 1 stopped early, 1 failed; 1 running, 1 interrupted, 1 waiting"
    )


def test_half_of_the_steps_are_half_of_the_way_and_what_has_ended_is_all_of_its_own(
    status: TrialStatus,
) -> None:
    assert status.percent == 0
    status.take(running(0, 500, None))
    assert status.percent == pytest.approx(100 * 0.5 / 6, abs=0.05)
    status.take(TrialEvent(1, "failed"))
    assert status.percent == pytest.approx(100 * 1.5 / 6, abs=0.05)
    for number in range(6):
        status.take(TrialEvent(number, "finished", 1000, 1000))
    assert status.percent == 100


def test_the_best_trial_is_ahead_by_what_its_trained_weights_came_to(status: TrialStatus) -> None:
    assert status.ahead is None
    status.take(running(0, 0, 0.9))
    assert status.ahead is None, "that is the start's number"
    status.take(running(0, 100, 0.4))
    status.take(running(1, 100, 0.6))
    status.take(running(1, 200, 0.2))
    assert status.ahead == 1
    status.take(running(2, 100, float("nan")))
    assert status.ahead == 1
    rows = status.rows()
    assert [row["trial"] for row in rows] == ["001", "000", "002"]
    assert (rows[0]["quality"], rows[0]["last"], rows[0]["step"]) == ("0.6", "0.2", "200 of 1,000")
    assert rows[2]["quality"] == "–"


def test_where_less_is_better_the_least_is_ahead(places: Places, tmp_path: Path) -> None:
    plan = plan_at(str(tmp_path), places, metric="reconstruction")
    status = TrialStatus(plan.known, plan.count, plan.settings.metric, plan.settings.mode, str)
    for number, loss in enumerate((3.0, 0.5, 1.0)):
        status.take(TrialEvent(number, "running", 10, 20, {"reconstruction": loss, "quality": 0.5}))
    assert status.ahead == 1
    assert [row["trial"] for row in status.rows()] == ["001", "002", "000"]


def test_a_trial_is_worth_what_the_weights_are_that_it_keeps(places: Places, tmp_path: Path) -> None:
    """Untouched faces have the best SSIM: the leaderboard counts that of the weights with the best quality."""
    plan = plan_at(str(tmp_path), places, metric="ssim")
    status = TrialStatus(plan.known, plan.count, plan.settings.metric, plan.settings.mode, str)
    for number, trial_progress in enumerate((((0.99, 0.1), (0.8, 0.7)), ((0.9, 0.6), (0.95, 0.5)))):
        for step, (ssim, quality) in enumerate(trial_progress, start=1):
            status.take(TrialEvent(number, "running", step, 9, {"ssim": ssim, "quality": quality}))
    assert status.ahead == 1
    assert [(row["trial"], row["ssim"]) for row in status.rows()] == [("001", "0.9"), ("000", "0.8")]


def test_events_in_words(status: TrialStatus) -> None:
    assert status.take(running(1, 0, None)), "it was waiting before"
    assert status.line(running(1, 0, None)) == "trial 001 (λ1 10): begins"
    assert status.line(TrialEvent(1, "running", note="on cpu")) == "trial 001 (λ1 10): on cpu"
    event = running(1, 300, 0.614)
    assert not status.take(event)
    assert status.line(event) == "trial 001 (λ1 10): step 300 of 1,000, quality 0.614"
    ended = TrialEvent(1, "failed", 300, 1000, note="RuntimeError: no luck")
    assert status.take(ended)
    assert (
        status.line(ended)
        == "trial 001 (λ1 10): failed, step 300 of 1,000, quality 0.614; RuntimeError: no luck"
    )


def test_a_suggested_trial_is_asked_for_its_label_once(places: Places, tmp_path: Path) -> None:
    asked: list[int] = []
    plan = plan_at(str(tmp_path), places)
    status = TrialStatus(plan.known, 5, "quality", "max", lambda number: asked.append(number) or "found")  # type: ignore[func-returns-value]
    for step in (10, 20):
        event = running(4, step, 0.5)
        status.take(event)
    assert asked == [4]
    assert status.line(event).startswith("trial 004 (found): step 20")
