"""Receives what happens to the trials from Ray Tune."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

from flows.storage import open_store
from flows.sweep.events import TrialEvent
from flows.sweep.not_pickled import NotPickled
from flows.sweep.records import new_record, read_record, write_record

# Characters of a failure's reason, at most.
_LONGEST = 300


class Listener(NotPickled, Callback):
    """Passes on events of trials, and records which trials failed for good.

    Args:
        attempts: that a trial has.
        on_event: called with each event.

    Attributes:
        error: the first exception from ``on_event`` or a record, if any; it ends the sweep.
    """

    def __init__(self, attempts: int, on_event: Callable[[TrialEvent], None]) -> None:
        self._attempts, self._on_event = attempts, on_event
        self._last: dict[int, TrialEvent] = {}
        self.error: Exception | None = None

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep an exception for the end of the sweep. Tune would turn it into the text of a traceback."""
        try:
            yield
        except Exception as error:
            self.error = self.error or error

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """A trial's process has started."""
        self._tell(trial, state="running", note="begins" if trial.num_failures == 0 else "begins again")

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported, even if only that there is nothing new."""
        if "state" in result:
            names = ("state", "step", "steps", "numbers", "note")
            self._tell(trial, **{name: result[name] for name in names if name in result})

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial has ended. It has reported so itself, unless it was stopped early."""
        if trial.last_result.get("state", "running") == "running":
            self._tell(trial, state="stopped_early", note="behind the other trials")

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial has failed and will be retried."""
        failed = f"attempt {trial.num_failures} of {self._attempts} failed: {_reason(trial)}"
        self._tell(trial, state="running", note=failed)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """A trial has failed for good."""
        config, reason = trial.config, _reason(trial)
        with self.guarded():
            store = open_store(config["url"], option="--destination")
            record = read_record(store) or new_record(config["number"], config["changes"], config["label"])
            record |= {"state": "failed", "reason": reason}
            write_record(store, record)
        self._tell(trial, state="failed", note=reason)

    def interrupted(self, note: str) -> None:
        """All running trials have been stopped."""
        for number, last in self._last.items():
            if last.state == "running":
                with self.guarded():
                    self._on_event(TrialEvent(number, "interrupted", last.step, last.steps, note=note))

    def _tell(self, trial: TuneTrial, **news: Any) -> None:
        number = trial.config["number"]
        last = self._last.get(number, TrialEvent(number, "running"))
        event = TrialEvent(**{"number": number, "step": last.step, "steps": last.steps} | news)
        self._last[number] = event
        with self.guarded():
            self._on_event(event)


def _reason(trial: TuneTrial) -> str:
    """Why a trial failed the last time, on one line."""
    try:
        lines = [line.strip() for line in Path(trial.error_file).read_text().splitlines() if line.strip()]
    except (OSError, TypeError):
        return "unknown"
    begins = max((at for at, line in enumerate(lines) if line.startswith("Failure # ")), default=0)
    died = any("ActorDiedError" in line or "The actor died" in line for line in lines[begins:])
    return ("its process died: " if died else "") + lines[-1][:_LONGEST]
