"""One trial in this process: when it ends before its last step, and what its record says."""

import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attgan.errors import Diverged, UserError
from attgan.training.run_folder.progress import Progress
from flows.storage import StorageError, Store
from flows.sweep import trial as trials
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.records import (
    Decision,
    Record,
    is_complete,
    new_record,
    read_record,
    read_validations,
    write_decisions,
    write_record,
)
from flows.sweep.trial import TrialControl, TrialOrder, run_trial
from flows.training.stopping import request_stop
from tests.support.finished_sweep import plan_at

COMMAND = "a command"


@pytest.fixture
def plan(places: Places, tmp_path: Path) -> SweepPlan:
    return plan_at(str(tmp_path), places)


@pytest.fixture
def order(plan: SweepPlan) -> TrialOrder:
    return TrialOrder(
        plan.known[0], "quality", waits=False, timeout=None, command=COMMAND, validation=plan.validation
    )


@pytest.fixture
def store(plan: SweepPlan) -> Store:
    return plan.folder(0)


def record_of(store: Store) -> Record:
    record = read_record(store)
    assert record is not None
    return record


def silent(line: str) -> None:
    """Say nothing."""


def decision(step: int, stop: bool) -> Decision:
    return Decision(order=0, step=step, value=0.5, stop=stop, grace_steps=10)


def test_a_trial_trains_to_its_end(order: TrialOrder, store: Store) -> None:
    lines: list[str] = []
    assert run_trial(order, lines.append).is_completed()
    record = record_of(store)
    assert (record["state"], record["attempts"], record["command"]) == ("finished", 1, COMMAND)
    assert record["seconds"] > 0
    assert any("quality" in line for line in lines), "each validation is in the task run's log"


def test_a_trial_whose_time_is_over_keeps_its_best_weights_for_good(order: TrialOrder, store: Store) -> None:
    state = run_trial(replace(order, timeout="0.001s"), silent)
    assert state.is_completed()
    assert is_complete(record := record_of(store))
    assert record["state"] == "stopped_early"
    assert "--trial-timeout" in record["reason"]


def test_a_trial_that_is_asked_to_stop_before_it_begins_writes_nothing(
    order: TrialOrder, store: Store
) -> None:
    request_stop(store, COMMAND)
    assert run_trial(order, silent).is_cancelled()
    assert read_record(store) is None


@pytest.mark.parametrize(
    ("axis", "fixed", "same"),
    [
        ("seed=0,1", {"strategy": "permutation"}, {"quality", "ssim", "generator_loss", "fake_accuracy"}),
        ("strategy=inverse,alternate", {"seed": 10}, {"quality", "ssim", "psnr", "classifier_accuracy"}),
    ],
)
def test_all_trials_are_validated_on_the_same_faces(
    places: Places, tmp_path: Path, axis: str, fixed: dict[str, Any], same: set[str]
) -> None:
    """Before the first step all of them have the same weights, so they measure the same."""
    plan = plan_at(str(tmp_path), places, axis, **fixed, max_steps=2, validation_images=3)
    measured = []
    for trial in plan.known:
        order = TrialOrder(trial, "quality", False, None, COMMAND, plan.validation)
        run_trial(order, silent)
        before = read_validations(plan.folder(trial.number))[0]
        measured.append({name: before[name] for name in same})
    assert all(numbers == measured[0] for numbers in measured[1:])


@pytest.mark.parametrize("stop", [True, False])
def test_a_trial_waits_for_the_decision_about_each_validation(
    order: TrialOrder, store: Store, stop: bool
) -> None:
    control = TrialControl(replace(order, waits=True), store, silent, None)
    write_decisions(store, [decision(0, False)])
    control.follow(Progress("training", 0, 90, 0.0, checked=0))
    threading.Timer(0.3, write_decisions, (store, [decision(0, False), decision(10, stop)])).start()
    control.follow(Progress("training", 10, 90, 0.5, checked=10))
    assert control.should_stop() is stop
    # The last validation needs no decision.
    control.follow(Progress("training", 90, 90, 1.0, checked=90))


@pytest.mark.parametrize(
    ("error", "state", "complete", "retried"),
    [
        (UserError("setting-invalid", "--size 3: no"), "failed", True, False),
        (Diverged("the loss exploded"), "diverged", True, False),
        (StorageError("no answer"), "failed", False, True),
        (RuntimeError("no luck"), "failed", False, True),
    ],
)
def test_a_failure_is_on_record_and_raised(
    order: TrialOrder,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    state: str,
    complete: bool,
    retried: bool,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(trials, "train_trial", fail)
    with pytest.raises(type(error)):
        run_trial(order, silent)
    record = record_of(store)
    assert (record["state"], is_complete(record)) == (state, complete)
    assert str(error) in record["reason"]
    assert trials.may_retry(None, None, trials.Completed(data=error)) is retried


def test_a_failure_leaves_no_networks_in_memory(order: TrialOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect keeps the exception, whose traceback would keep all local variables of the training."""
    left: list[weakref.ref[torch.nn.Module]] = []

    def fail(*args: Any, **kwargs: Any) -> None:
        network = torch.nn.Linear(2, 2)
        left.append(weakref.ref(network))
        try:
            raise RuntimeError(f"{network} is out of memory")
        except RuntimeError:
            raise Diverged("the loss exploded") from None

    monkeypatch.setattr(trials, "train_trial", fail)
    with pytest.raises(Diverged) as kept:
        run_trial(order, silent)
    assert kept.value.__context__ is not None
    assert left[0]() is None


@pytest.mark.parametrize(
    ("command", "state", "reason"),
    [
        (COMMAND, "running", "its process died, or could not write its record"),
        ("an earlier one", "running", ""),
    ],
)
def test_a_new_attempt_says_how_the_last_one_of_this_command_ended(
    order: TrialOrder, store: Store, monkeypatch: pytest.MonkeyPatch, command: str, state: Any, reason: str
) -> None:
    before = new_record(0, {}, "") | {"command": command, "state": state, "reason": "no luck", "attempts": 1}
    write_record(store, Record(**before))  # type: ignore[typeddict-item]
    seen: list[Record] = []

    def train(*args: Any, **kwargs: Any) -> dict[str, Any]:
        seen.append(record_of(store))
        return {"ended": "finished", "reason": "all done"}

    monkeypatch.setattr(trials, "train_trial", train)
    run_trial(order, silent)
    assert [(record["attempts"], record["state"], record["reason"]) for record in seen] == [
        (2, "running", reason)
    ]
