"""The driver of a sweep: says which trials to run, follows them by their files, and decides about them.

Nothing is known of a trial that is not in its folder, so a new command continues where the last one ended. Uses neither
Prefect nor Ray.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import State

from attgan.errors import one_line
from attgan.training.run_folder.progress import PROGRESS
from flows.settings import seconds_of
from flows.storage import StorageError, Store
from flows.sweep.plan import SweepPlan, Trial
from flows.sweep.records import (
    Decision,
    Record,
    finite,
    is_complete,
    new_record,
    numbers_of,
    patiently,
    read_decisions,
    read_json,
    read_record,
    read_validations,
    results_of,
    write_decisions,
    write_record,
)
from flows.sweep.results.progress import Ending, TrialEvent
from flows.sweep.space import warm_start
from flows.sweep.space.study import Study
from flows.sweep.trial import TrialOrder
from flows.training.stopping import new_command, request_stop

# Seconds between two looks at the trials, and the share of its time that the driver may spend on looking.
_LOOKS_EVERY, _LOOK_SHARE = 0.4, 0.3
# Seconds between them at most, also where looking takes long: trials wait for the scheduler's decisions.
_LONGEST_PAUSE = 5.0
# Seconds between two questions whether to stop.
_ASKS_EVERY = 1.0
# Threads that read the folders of known trials.
_READERS = 16
GRACE = 18.0
"""Seconds for the current step and a checkpoint of all trials when the user stops the sweep."""

PATIENCE = 300.0
"""The same when the sweep's time is over."""


class GaveUp(Exception):
    """The sweep stops, and no trial that has begun is left, or they did not stop in time."""


@dataclass
class _Submitted:
    """A trial that was submitted and has not ended.

    Attributes:
        attempts: as in its record when this command's worker last wrote it; 0 until the trial has begun.
        validated: the step of the last validation that was handled.
        passed_on: the steps of all that were handled.
        decisions: about it so far.
        unwritten: whether not all of them are in its folder yet.
        event: the last one.
    """

    trial: Trial
    store: Store
    decisions: list[Decision]
    event: TrialEvent
    attempts: int = 0
    validated: int = -1
    passed_on: set[int] = field(default_factory=set)
    unwritten: bool = False


class SweepDriver:
    """The driver of a sweep's trials in one command.

    Args:
        plan: of the sweep. The folders of its trials are written.
        on_event: called with each event of a trial.
        stop: called about once a second; returns a reason to stop, or None.

    Attributes:
        count: the number of trials so far.
        complete: how many were complete at the beginning.
        ending: how the sweep ends before its trials do; None while it continues.
    """

    def __init__(
        self, plan: SweepPlan, on_event: Callable[[TrialEvent], None], stop: Callable[[], str | None]
    ) -> None:
        self._plan, self._settings = plan, plan.settings
        self._on_event, self._stop = on_event, stop
        self._searches, self._waits = plan.settings.search == "optuna", plan.settings.scheduler == "asha"
        self._command = new_command()
        self._study = Study(plan.settings, plan.axes)
        self._submitted: dict[int, _Submitted] = {}
        self._began = self._asked = self._look_at = time.monotonic()
        self._failures = 0
        self.ending: Ending | None = None
        self._todo = self._rebuild()
        self.count = len(plan.known)
        self.complete = self.count - len(self._todo)

    def _rebuild(self) -> list[Trial]:
        """Fill the study from the folders of the known trials; returns the trials that are not complete."""
        metric, known = self._settings.metric, self._plan.known
        stores = [self._plan.folder(trial.number) for trial in known]
        with ThreadPoolExecutor(_READERS) as pool:
            records = list(pool.map(read_record, stores))
            decisions = list(pool.map(read_decisions, stores)) if self._waits else [[] for _ in known]
        complete = {
            trial.number: record for trial, record in zip(known, records, strict=True) if is_complete(record)
        }
        for earlier in warm_start.read(self._plan.store):
            self._study.learn(earlier["changes"], earlier["values"])
        if self._waits or self._searches:
            for trial in known:
                self._study.add(trial.number, trial.changes)
        self._study.replay(
            (trial.number, one) for trial, found in zip(known, decisions, strict=True) for one in found
        )
        for number, record in complete.items():
            store = stores[number]
            if self._waits and not decisions[number]:
                # An earlier version recorded no decisions.
                steps = (read_json(store, PROGRESS) or {}).get("steps", 0)
                for row in read_validations(store):
                    self._study.observe(number, row["step"], steps, finite(row.get(metric)))
            if self._searches:
                self._study.tell(number, results_of(store, record, list(self._settings.modes)))
        return [trial for trial in known if trial.number not in complete]

    @property
    def left(self) -> bool:
        """Whether any trial is left."""
        return bool(self._todo) or (self._searches and self.count < self._plan.count)

    def calls(self) -> Iterator[dict[str, Any]]:
        """The arguments of each trial's task: of the known trials first, then of those that the search suggests."""
        todo = iter(self._todo)
        while self.ending is None:
            trial = next(todo, None) or self._suggest()
            if trial is None:
                return
            store = self._plan.folder(trial.number)
            decisions = patiently(read_decisions, store, unless=self._stop)
            self._submitted[trial.number] = _Submitted(
                trial, store, decisions, TrialEvent(trial.number, "running", label=trial.label)
            )
            order = TrialOrder(
                trial=trial,
                metric=self._settings.metric,
                waits=self._waits,
                timeout=self._settings.trial_timeout,
                command=self._command,
                validation=self._plan.validation,
            )
            yield {"order": order}

    def _suggest(self) -> Trial | None:
        """The search's next trial. Its record is written before it begins, so that its number is taken."""
        if not self._searches or self.count >= self._plan.count:
            return None
        changes = self._study.suggest(self.count)
        if changes is None:
            return None
        trial = self._plan.trial(self.count, changes)
        record = new_record(trial.number, trial.changes, trial.label)
        patiently(write_record, self._plan.folder(trial.number), record, unless=self._stop)
        self.count += 1
        return trial

    def look(self) -> None:
        """Look at all submitted trials, and whether to stop. Called about twice a second.

        Raises:
            GaveUp: the sweep stops, and there is nothing to wait for.
        """
        now = time.monotonic()
        if self.ending is None and now - self._asked >= _ASKS_EVERY:
            self._asked = now
            self._check_end(now)
        if now >= self._look_at:
            for one in list(self._submitted.values()):
                # If the storage fails for good, the trials raise the error.
                with contextlib.suppress(StorageError):
                    self._follow(one)
            spent = time.monotonic() - now
            self._look_at = now + max(_LOOKS_EVERY, min(spent / _LOOK_SHARE, spent + _LONGEST_PAUSE))
        if self.ending is not None:
            limit = GRACE if self.ending.interrupted else PATIENCE
            if now - self._asked > limit or not any(one.attempts for one in self._submitted.values()):
                raise GaveUp

    def _check_end(self, now: float) -> None:
        limit, most = self._settings.time_limit, self._settings.max_failures
        if (reason := self._stop()) is not None:
            self._finish(Ending(reason, interrupted=True))
        elif limit is not None and now - self._began > seconds_of(limit):
            self._finish(Ending(f"its --time-limit {limit} is over", interrupted=False))
        elif most is not None and self._failures > most:
            words = f"{self._failures} trials failed, more than --max-failures {most} allows"
            self._finish(Ending(words, interrupted=True))

    def _finish(self, ending: Ending) -> None:
        """End the sweep before its trials do: ask all of them to stop."""
        self.ending = ending
        # A trial that has begun since the last look gets its time to stop, too.
        self._look_at = 0.0
        self._request_stops()

    def _follow(self, one: _Submitted) -> None:
        """Read what is new about a trial; pass it on, and decide about the validations of a running one."""
        record = read_record(one.store)
        if record is None or record["command"] != self._command:
            return
        if record["attempts"] != one.attempts:
            first, one.attempts = one.attempts == 0, record["attempts"]
            note = "begins" if first else f"begins again: {record['reason']}"
            self._pass_on(one, note=note, task_run=record.get("task_run"))
        progress = read_json(one.store, PROGRESS) or {}
        if "steps" not in progress:
            # The data are still being decoded.
            return
        if progress.get("checked", -1) != one.validated:
            self._handle_validations(one, progress["steps"], decides=record["state"] == "running")
            one.validated = progress.get("checked", -1)
        if one.unwritten:
            # The trial reads its decisions there, so it follows none that is not recorded.
            write_decisions(one.store, one.decisions)
            one.unwritten = False
        if (progress["step"], progress["note"]) != (one.event.step, one.event.note):
            self._pass_on(one, step=progress["step"], steps=progress["steps"], note=progress["note"])

    def _handle_validations(self, one: _Submitted, steps: int, decides: bool) -> None:
        decided = {decision["step"] for decision in one.decisions}
        for row in read_validations(one.store):
            step, numbers = row["step"], {name: finite(value) for name, value in numbers_of(row).items()}
            if step not in one.passed_on:
                one.passed_on.add(step)
                self._pass_on(one, step=step, steps=steps, numbers=numbers)
            if self._waits and decides and step not in decided:
                value = numbers.get(self._settings.metric)
                one.decisions.append(self._study.decide(one.trial.number, step, steps, value))
                one.unwritten = True

    def end(self, trial: Trial, state: State[Any]) -> None:
        """Handle the end of a trial's task."""
        one = self._submitted.pop(trial.number)
        if not one.attempts and state.is_cancelled():
            # It was stopped before it began.
            return
        with contextlib.suppress(StorageError):
            self._follow(one)
        record = patiently(self._final_record, one, state, unless=self._stop)
        self._failures += record["state"] == "failed"
        if self._searches:
            metrics = list(self._settings.modes)
            values = patiently(results_of, one.store, record, metrics, unless=self._stop)
            self._study.tell(trial.number, values)
        self._pass_on(one, state=record["state"], note=record["reason"])

    def _final_record(self, one: _Submitted, state: State[Any]) -> Record:
        trial = one.trial
        record = read_record(one.store) or new_record(trial.number, trial.changes, trial.label)
        if record["command"] != self._command or record["state"] in ("waiting", "running"):
            # Its process died once too often, or could not write the record.
            record |= {"state": "failed", "reason": one_line(state.message), "command": self._command}
            write_record(one.store, record)
        return record

    def abandon(self) -> None:
        """Ask the trials that have not ended to stop, however this run of the sweep ended."""
        self._request_stops()
        if self.ending is not None:
            for one in self._submitted.values():
                if one.attempts:
                    self._pass_on(one, state="interrupted", note=self.ending.reason)

    def _request_stops(self) -> None:
        for one in self._submitted.values():
            # If the storage fails, ``abandon`` asks once more, and the trials end with this process.
            with contextlib.suppress(StorageError):
                request_stop(one.store, self._command)

    def _pass_on(self, one: _Submitted, **news: Any) -> None:
        one.event = replace(one.event, **{"state": "running", "numbers": {}, "note": ""} | news)
        self._on_event(one.event)
