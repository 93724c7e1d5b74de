"""The driver's part of a sweep: what it reads from trials' folders and writes into them. No servers, no trainings."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Cancelled, Completed, Crashed

from flows.storage import Store
from flows.sweep.driver import GaveUp, SweepDriver
from flows.sweep.plan import Places, SweepPlan, Trial
from flows.sweep.records import (
    State,
    new_record,
    read_decisions,
    read_record,
    write_record,
)
from flows.sweep.results.progress import TrialEvent
from flows.sweep.trial import TrialOrder
from flows.training.stopping import stop_requested
from tests.support.finished_sweep import plan_at

STEPS = 90


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_LOOKS_EVERY", 0.0), ("_ASKS_EVERY", 0.0), ("_LOOK_SHARE", float("inf"))):
        monkeypatch.setattr(f"flows.sweep.driver.{name}", value)


@pytest.fixture
def plan(places: Places, tmp_path: Path) -> SweepPlan:
    """Four trials; the first rung is after ten steps."""
    return plan_at(str(tmp_path), places, scheduler="asha", grace_steps=10, max_failures=1)


class Sweep:
    """A driver, its events, and trials that are played by writing their files."""

    def __init__(self, plan: SweepPlan) -> None:
        self.plan = plan
        self.events: list[TrialEvent] = []
        self.reason: str | None = None
        self.driver = SweepDriver(plan, self.events.append, lambda: self.reason)
        self.calls = self.driver.calls()

    def submit(self) -> TrialOrder:
        order: TrialOrder = next(self.calls)["order"]
        return order

    def begin(self, order: TrialOrder, *qualities: float) -> Store:
        """The trial has begun, and was validated every ten steps."""
        play(self.plan, order.trial, "running", qualities, order.command)
        return self.plan.folder(order.trial.number)

    def end(self, order: TrialOrder, state: State) -> None:
        play(self.plan, order.trial, state, (), order.command)
        self.driver.end(order.trial, Completed())


def play(plan: SweepPlan, trial: Trial, state: State, qualities: Sequence[float], command: str = "") -> None:
    """Write the files of a trial that has been validated every ten steps."""
    store = plan.folder(trial.number)
    record = new_record(trial.number, trial.changes, trial.label)
    write_record(store, record | {"state": state, "attempts": 1, "command": command})
    if qualities:
        rows = [{"kind": "check", "step": 10 * at, "quality": value} for at, value in enumerate(qualities)]
        store.put("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
        last = 10 * (len(qualities) - 1)
        progress = {"state": "training", "step": last, "steps": STEPS, "note": "", "checked": last}
        store.put("progress.json", json.dumps(progress).encode())


def stops(store: Store) -> list[bool]:
    return [decision["stop"] for decision in read_decisions(store)]


def test_each_validation_is_decided_in_the_trials_folder_and_passed_on(plan: SweepPlan) -> None:
    sweep = Sweep(plan)
    good, bad = (sweep.begin(sweep.submit(), 0.1, quality) for quality in (0.6, 0.5))
    sweep.driver.look()
    assert (stops(good), stops(bad)) == ([False, False], [False, True])
    numbers = [
        (event.number, event.step, event.numbers["quality"]) for event in sweep.events if event.numbers
    ]
    assert numbers == [(0, 0, 0.1), (0, 10, 0.6), (1, 0, 0.1), (1, 10, 0.5)]
    before = list(sweep.events)
    sweep.driver.look()
    assert sweep.events == before


def test_a_new_driver_revokes_no_decision_and_decides_by_all_of_them(plan: SweepPlan) -> None:
    first = Sweep(plan)
    stores = [first.begin(first.submit(), 0.1, quality) for quality in (0.5, 0.4)]
    first.driver.look()
    before = [read_decisions(store) for store in stores]
    again = Sweep(plan)
    # The first trial is worse at a second attempt, and what was decided stays.
    for quality in (0.2, 0.4):
        again.begin(again.submit(), 0.1, quality)
    again.driver.look()
    assert [read_decisions(store) for store in stores] == before
    assert stops(again.begin(third := again.submit(), 0.1, 0.45)) == []
    again.driver.look()
    assert stops(plan.folder(third.trial.number)) == [False, True]


def test_complete_trials_are_not_run_again_and_those_of_an_earlier_version_count(plan: SweepPlan) -> None:
    play(plan, plan.known[0], "finished", (0.1, 0.9))
    play(plan, plan.known[1], "failed", ())
    sweep = Sweep(plan)
    assert (sweep.driver.complete, sweep.driver.left) == (1, True)
    assert [call["order"].trial.number for call in sweep.calls] == [1, 2, 3]
    command = sweep.driver._command
    order = TrialOrder(plan.known[2], "quality", True, None, command, plan.validation)
    store = sweep.begin(order, 0.1, 0.6)
    sweep.driver.look()
    assert stops(store) == [False, True]


def test_a_stopped_sweep_asks_its_trials_to_stop_and_waits_for_those_that_have_begun(plan: SweepPlan) -> None:
    sweep = Sweep(plan)
    running, waiting = sweep.submit(), sweep.submit()
    store = sweep.begin(running, 0.1)
    sweep.reason = "enough"
    sweep.driver.look()
    assert all(stop_requested(plan.folder(order.trial.number), order.command) for order in (running, waiting))
    assert list(sweep.calls) == [], "no further trial is submitted"
    sweep.driver.look()
    play(plan, running.trial, "interrupted", (), running.command)
    sweep.driver.end(running.trial, Cancelled())
    with pytest.raises(GaveUp):
        sweep.driver.look()
    sweep.driver.abandon()
    assert sweep.driver.ending is not None
    assert (sweep.driver.ending.reason, sweep.driver.ending.interrupted) == ("enough", True)
    assert sweep.events[-1].state == "interrupted"
    assert not any(event.number == waiting.trial.number for event in sweep.events)
    assert store.get("stop").data == running.command.encode()


def test_a_look_that_takes_minutes_is_followed_by_another_within_seconds(
    plan: SweepPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the Prefect server is away. Meanwhile the trials wait for decisions."""
    clock = [0.0]
    monkeypatch.setattr("flows.sweep.driver.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("flows.sweep.driver._LOOK_SHARE", 0.3)
    sweep = Sweep(plan)

    def show(event: TrialEvent) -> None:
        clock[0] += 100

    sweep.driver._on_event = show
    order = sweep.submit()
    sweep.begin(order, 0.1)
    sweep.driver.look()
    store = sweep.begin(order, 0.1, 0.2)
    clock[0] += 6
    sweep.driver.look()
    assert len(read_decisions(store)) == 2


def test_trials_that_do_not_stop_in_time_are_given_up(
    plan: SweepPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.sweep.driver.GRACE", -1.0)
    sweep = Sweep(plan)
    sweep.begin(sweep.submit(), 0.1)
    sweep.reason = "enough"
    with pytest.raises(GaveUp):
        sweep.driver.look()
    sweep.driver.abandon()
    assert (sweep.events[-1].state, sweep.events[-1].note) == ("interrupted", "enough")


def test_a_trial_whose_process_died_too_often_has_failed_and_too_many_failures_end_the_sweep(
    plan: SweepPlan,
) -> None:
    sweep = Sweep(plan)
    died, failed = sweep.submit(), sweep.submit()
    sweep.begin(died)
    sweep.driver.end(died.trial, Crashed(message="its process died"))
    record = read_record(plan.folder(died.trial.number))
    assert record is not None
    assert (record["state"], record["reason"]) == ("failed", "its process died")
    sweep.driver.look()
    assert sweep.driver.ending is None, "one may fail"
    sweep.begin(failed)
    sweep.end(failed, "failed")
    sweep.begin(sweep.submit(), 0.1)
    sweep.driver.look()
    assert sweep.driver.ending is not None
    assert sweep.driver.ending.interrupted
    assert [event.state for event in sweep.events if event.state == "failed"] == ["failed"] * 2


def test_a_search_suggests_up_to_its_budget_and_a_resumed_one_the_same(
    places: Places, tmp_path: Path
) -> None:
    def suggested(name: str, first: int) -> list[Any]:
        """All changes, if the driver is replaced after so many trials."""
        options = {"search": "optuna", "trials": 5, "seed": 3, "space": ["learning_rate=log:1e-5:1e-2"]}
        for count in (first, 5):
            sweep = Sweep(plan_at(str(tmp_path / name), places, **options))
            while sweep.driver.count < count and sweep.driver.left:
                order = sweep.submit()
                sweep.begin(order, 0.1, order.trial.settings.learning_rate)
                sweep.end(order, "finished")
        return [trial.changes for trial in sweep.plan.all_trials()]

    undisturbed = suggested("undisturbed", 5)
    assert len(undisturbed) == 5
    assert suggested("resumed", 2) == undisturbed
