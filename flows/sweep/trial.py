"""One trial: a training as a Prefect task on Ray.

Everything that a trial needs to resume is in its folder. The driver follows it by the files there, and tells it what to
do in the same way: a marker asks it to stop (:mod:`flows.training.stopping`), and ``decisions.json`` says after each
validation whether the scheduler lets it continue.
"""

from __future__ import annotations

import contextlib
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from prefect import State, get_run_logger, runtime, task
from prefect.states import Cancelled, Completed

from attgan.errors import Diverged, UserError, one_line
from attgan.training.run_folder.progress import Progress
from attgan.training.validation import ValidationDraw
from flows.runtime.running import retries_if
from flows.settings import seconds_of
from flows.storage import PreconditionFailed, StorageError, Store, open_store
from flows.sweep.plan import Trial
from flows.sweep.records import (
    Record,
    new_record,
    read_decisions,
    read_record,
    read_validations,
    value_of,
    write_record,
)
from flows.training.stopping import stop_requested
from flows.training.trial import train_trial
from flows.training.watch import describe_progress

# Seconds that a trial waits for a decision. Then it continues: the driver is slow, and a dead one ends its trials.
_DECISION_SECONDS = 600.0
# Seconds between two looks for a decision: at first, and at most.
_LOOKS_EVERY = (0.1, 1.0)

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrialOrder:
    """What a trial's task needs.

    Attributes:
        trial: to run.
        metric: that the scheduler compares.
        waits: whether each validation waits for a decision of the scheduler.
        timeout: the duration after which the trial is stopped; None without a limit.
        command: the id of the command that runs this sweep.
        validation: of all trials.
    """

    trial: Trial
    metric: str
    waits: bool
    timeout: str | None
    command: str
    validation: ValidationDraw

    @property
    def task_run_label(self) -> str:
        """Its number and settings. The timeline in Prefect's UI has no Greek letters, and leaves them out."""
        return f"{self.trial.name}: {self.trial.label.replace('λ', 'lambda')}"


def may_retry(task: Any, run: Any, state: State[Any]) -> bool:
    """The retry condition: neither a user's mistake nor a training that diverges ends better the next time."""
    return not isinstance(state.data, UserError | Diverged)


@task(name="trial", task_run_name="trial {order.task_run_label}", **retries_if(may_retry))
def trial_task(order: TrialOrder) -> State[Any]:
    """Run one trial, on Ray."""
    return run_trial(order, get_run_logger().info, runtime.task_run.id)


def run_trial(order: TrialOrder, say: Say, task_run: str | None = None) -> State[Any]:
    """Train from the last checkpoint, and write the outcome into the trial's record. Uses neither Prefect nor Ray.

    Args:
        order: what to do.
        say: receives lines for the log.
        task_run: the id of Prefect's task run.

    Returns:
        The final state for the task run, whose message is one line: completed, or cancelled if the driver asked the
        trial to stop, so that it resumes another time.

    Raises:
        UserError: the settings were refused.
        Diverged: the losses are not finite or have exploded.
        Exception: what else ended the training. Another attempt may help.
    """
    store = open_store(order.trial.url, option="--destination")
    if stop_requested(store, order.command):
        return Cancelled(message="the sweep was stopped before this trial began")
    record = _begin(store, order) | {"task_run": task_run}
    mine = write_record(store, record)
    say(f"trial {order.trial.name}, attempt {record['attempts']}, in {order.trial.url}")
    began = time.monotonic()
    try:
        state = _train(order, store, record, say)
    except Exception as error:
        known = isinstance(error, UserError | Diverged)
        record["state"] = "diverged" if isinstance(error, Diverged) else "failed"
        record["reason"] = str(error) if known else f"{type(error).__name__}: {one_line(error)}"
        # A full disk and expired credentials are UserErrors, too, but the next attempt may have space or new ones.
        passing = isinstance(error, StorageError) or isinstance(error.__context__, OSError)
        record["permanent"] = isinstance(error, UserError) and not passing
        # If the record cannot be written, the driver writes it.
        with contextlib.suppress(StorageError):
            _end(store, order, record, mine, began)
        _forget_frames(error)
        raise
    finally:
        if order.trial.settings.device == "cuda":
            # The process stays for the next task, and another process may use the same GPU.
            torch.cuda.empty_cache()
    _end(store, order, record, mine, began)
    return state


def _forget_frames(error: BaseException | None) -> None:
    """Clear the local variables that an exception keeps: networks, optimisers, batches. Prefect keeps the exception."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _begin(store: Store, order: TrialOrder) -> Record:
    """The record of this attempt."""
    trial = order.trial
    record = read_record(store) or new_record(trial.number, trial.changes, trial.label)
    reason = ""
    if record["command"] == order.command:
        # This command has begun the trial before.
        dead = "its process died, or could not write its record"
        reason = dead if record["state"] == "running" else record["reason"]
    record["attempts"] += 1
    record |= {"state": "running", "reason": reason, "command": order.command, "node": platform.node()}
    return record


def _end(store: Store, order: TrialOrder, record: Record, mine: str, began: float) -> None:
    record["value"] = value_of(read_validations(store), order.metric)
    record["seconds"] = round(record["seconds"] + time.monotonic() - began, 3)
    # If another process has taken the trial over, the record is that process's.
    with contextlib.suppress(PreconditionFailed):
        write_record(store, record, if_match=mine)


def _train(order: TrialOrder, store: Store, record: Record, say: Say) -> State[Any]:
    """Train, and set the record's state and reason."""
    left = None if order.timeout is None else seconds_of(order.timeout) - record["seconds"]
    control = TrialControl(order, store, say, left)
    # A driver that was killed may have decided this, and the trial did not hear of it.
    control.read_decisions()
    if not control.reason:
        outcome = train_trial(
            order.trial.settings,
            command=order.command,
            should_stop=control.should_stop,
            on_progress=control.follow,
            validation=order.validation,
        )
        if outcome["ended"] == "finished":
            record |= {"state": "finished", "reason": outcome["reason"]}
            return Completed(message=outcome["reason"])
    if control.reason:
        record |= {"state": "stopped_early", "reason": control.reason}
        return Completed(name="StoppedEarly", message=control.reason)
    record |= {"state": "interrupted", "reason": outcome["reason"]}
    return Cancelled(message=outcome["reason"])


@dataclass
class TrialControl:
    """Decides whether the training continues after each step, and waits for the scheduler after each validation.

    Attributes:
        seconds: that the training may last; None without a limit.
        reason: why the trial is stopped for good; empty while it is not.
    """

    order: TrialOrder
    store: Store
    say: Say
    seconds: float | None
    reason: str = ""
    _began: float = field(default_factory=time.monotonic)
    _checked: int = -1
    _decided: int = -1

    def should_stop(self) -> bool:
        """Whether to end after this step."""
        if self.seconds is not None and time.monotonic() - self._began > self.seconds:
            self.reason = self.reason or f"its --trial-timeout {self.order.timeout} is over"
        return bool(self.reason)

    def follow(self, progress: Progress) -> None:
        """Handle a progress report of the training."""
        if progress.checked <= self._checked:
            return
        self._checked = progress.checked
        self.say(f"step {progress.step:,} of {progress.steps:,}: {describe_progress(asdict(progress))}")
        # After the last step the result is still to be written.
        if self.order.waits and progress.step < progress.steps:
            self._wait()

    def read_decisions(self) -> None:
        """Read what the scheduler has decided so far."""
        for decision in read_decisions(self.store) if self.order.waits else []:
            self._decided = decision["step"]
            if decision["stop"]:
                self.reason = (
                    f"stopped early: {self.order.metric} {decision['value']:.3g} at step {decision['step']:,} is "
                    "behind the other trials"
                )

    def _wait(self) -> None:
        """Wait until the scheduler has decided about the last validation, or the driver asks to stop."""
        pause, longest = _LOOKS_EVERY
        until = time.monotonic() + _DECISION_SECONDS
        while time.monotonic() < until and not stop_requested(self.store, self.order.command):
            with contextlib.suppress(StorageError):
                self.read_decisions()
            if self.reason or self._decided >= self._checked:
                return
            time.sleep(pause)
            pause = min(longest, 1.5 * pause)
