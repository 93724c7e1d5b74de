"""The progress of a sweep while it runs: what happened to its trials, how they compare, and the best one's faces."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flows.runtime import reporting
from flows.settings.sweep import Mode
from flows.storage import StorageError
from flows.sweep.plan import SweepPlan, Trial
from flows.sweep.records import (
    COMPLETE,
    WITHOUT_RESULT,
    Record,
    State,
    finite,
    is_complete,
    read_record,
    result_of,
)
from flows.sweep.results.display import number
from flows.sweep.results.leaderboard import sort_value
from flows.training.watch import GRIDS

# Seconds between two updates.
_PROGRESS_EVERY, _TABLE_EVERY, _PICTURE_EVERY = 2.0, 10.0, 30.0
# Seconds between two lines about running trials: at first, and in a long sweep.
_LINES_EVERY = (2.0, 30.0)
_ENDED = COMPLETE | {"failed"}
_ORDER: tuple[State, ...] = (
    "finished",
    "stopped_early",
    "diverged",
    "failed",
    "running",
    "interrupted",
    "waiting",
)


@dataclass(frozen=True)
class TrialEvent:
    """Something new about a trial.

    Attributes:
        number: of the trial.
        state: as in its record.
        step: steps done.
        steps: of the whole trial, at most; 0 while unknown.
        numbers: of the validation at this step; empty if there was none.
        note: one line; often empty.
        task_run: the id of Prefect's task run in which it runs; None before it begins.
        label: the settings in which the trial differs.
    """

    number: int
    state: State
    step: int = 0
    steps: int = 0
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""
    task_run: str | None = None
    label: str = ""


@dataclass(frozen=True)
class Ending:
    """How a sweep's trials ended.

    Attributes:
        reason: one line.
        interrupted: whether the sweep is to be resumed; then the same command runs the trials that are left.
    """

    reason: str
    interrupted: bool


@dataclass
class TrialProgress:
    """One trial so far.

    Attributes:
        label: the settings in which it differs.
        state: from its last event.
        step: steps done.
        steps: of the whole trial, at most; 0 while unknown.
        value: the metric at its last validation.
        best: the metric of the weights that it keeps, chosen as in the leaderboard: by the best quality.
        quality: the best so far.
        task_run: the id of its newest task run.
    """

    label: str
    state: State = "waiting"
    step: int = 0
    steps: int = 0
    value: float | None = None
    best: float | None = None
    quality: float | None = None
    task_run: str | None = None

    @property
    def share(self) -> float:
        """The share of its steps that are done; 1 if it has ended."""
        if self.state in _ENDED:
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def steps_text(self) -> str:
        """The steps done, and of how many if that is known."""
        return f"{self.step:,}" + (f" of {self.steps:,}" if self.steps else "")

    def update(self, event: TrialEvent, metric: str) -> bool:
        """Update with an event; returns whether the state has changed."""
        changed, self.state = self.state != event.state, event.state
        self.step, self.steps = max(self.step, event.step), event.steps or self.steps
        self.task_run = event.task_run or self.task_run
        if event.numbers:
            self.value = finite(event.numbers.get(metric))
        if event.numbers and event.step:
            quality = finite(event.numbers.get("quality"))
            # As in flows.sweep.records.value_of: if the quality is unknown, the last weights are kept.
            if self.quality is None or (quality is not None and quality >= self.quality):
                self.quality, self.best = quality, self.value
        return changed


class TrialStatus:
    """The status of all trials of a sweep, kept up to date by their events. Reads no files and shows nothing."""

    def __init__(self, trials: Iterable[Trial], count: int, metric: str, mode: Mode) -> None:
        """No trial has begun yet.

        Args:
            trials: that are known beforehand.
            count: of all trials, including those that a search will suggest.
            metric, mode: by which trials are compared.
        """
        self._count, self._metric, self._mode = count, metric, mode
        self._trials = {trial.number: TrialProgress(trial.label) for trial in trials}

    def complete(self, record: Record, value: float | None) -> None:
        """Take over the result that a known trial had before."""
        known = self._trials[record["number"]]
        known.state, known.value, known.best = record["state"], value, value
        known.task_run = record.get("task_run")

    def take(self, event: TrialEvent) -> bool:
        """Update with an event of a trial, perhaps a new one; returns whether the trial's state has changed."""
        trial = self._trials.setdefault(event.number, TrialProgress(event.label))
        return trial.update(event, self._metric)

    @property
    def percent(self) -> float:
        """How much of the sweep is done, from 0 to 100."""
        done = sum(trial.share for trial in self._trials.values())
        return round(100 * done / max(1, self._count), 1)

    @property
    def ahead(self) -> int | None:
        """The number of the trial with the best value so far."""
        known = [
            item
            for item in self._trials.items()
            if item[1].best is not None and item[1].state not in WITHOUT_RESULT
        ]
        best = min(known, key=lambda item: (sort_value(item[1].best, self._mode), item[0]), default=None)
        return best[0] if best else None

    def line(self, event: TrialEvent) -> str:
        """An event in words: ``trial 003 (λ1 50): step 300 of 1,000, quality 0.61``."""
        trial = self._trials[event.number]
        words = [event.state.replace("_", " ")] if event.state != "running" else []
        if trial.step:
            words.append(f"step {trial.steps_text}")
        if trial.value is not None:
            words.append(f"{self._metric.replace('_', ' ')} {number(trial.value)}")
        text = "; ".join(filter(None, (", ".join(words), event.note)))
        return f"{self.name(event.number)}: {text or 'begins'}"

    def name(self, trial: int) -> str:
        """A trial in words: ``trial 003 (λ1 50)``."""
        return f"trial {trial:03d} ({self._trials[trial].label})"

    def words(self) -> str:
        """The trials by state: ``3 of 8 trials have ended: 2 finished, 1 failed; 2 running, 3 waiting``."""
        counts: Counter[str] = Counter(trial.state for trial in self._trials.values())
        counts["waiting"] += self._count - len(self._trials)
        counted = {
            state: f"{counts[state]:,} {state.replace('_', ' ')}" for state in _ORDER if counts[state] > 0
        }
        ended = ", ".join(words for state, words in counted.items() if state in _ENDED)
        others = ", ".join(words for state, words in counted.items() if state not in _ENDED)
        done = sum(counts[state] for state in _ENDED)
        line = f"{done:,} of {self._count:,} trials have ended" + (f": {ended}" if ended else "")
        return "; ".join(filter(None, (line, others)))

    def rows(self) -> list[dict[str, str]]:
        """The trials that have begun, as a table for the UI: the best first, those without a result last."""
        begun = [item for item in self._trials.items() if item[1].state != "waiting"]
        begun.sort(
            key=lambda item: (
                item[1].state in WITHOUT_RESULT,
                sort_value(item[1].best, self._mode),
                item[0],
            )
        )
        return [
            {
                "trial": reporting.task_run_link(f"{name:03d}", trial.task_run),
                "settings": trial.label,
                "state": trial.state.replace("_", " "),
                "step": trial.steps_text,
                self._metric.replace("_", " "): number(trial.best),
                "last": number(trial.value),
            }
            for name, trial in begun
        ]


class SweepWatch:
    """Shows the progress of all trials: as lines in the log and as live artifacts in the UI.

    Attributes:
        status: of the trials so far.
    """

    def __init__(self, plan: SweepPlan, log: reporting.Log) -> None:
        self._plan, self._log = plan, log
        metric = plan.settings.metric
        self.status = TrialStatus(plan.known, plan.count, metric, plan.settings.mode)
        self._caption = f"Trials so far, by {metric.replace('_', ' ')}, {plan.store.url}"
        self._progress = reporting.LiveArtifact("progress", "sweep-progress", _PROGRESS_EVERY)
        self._table = reporting.LiveArtifact("table", "sweep-so-far", _TABLE_EVERY)
        self._faces = reporting.Picture("sweep-best-so-far", "Fixed faces")
        self._started = self._said = self._pictured = time.monotonic()
        self._take_complete()

    def event(self, event: TrialEvent) -> None:
        """Handle an event of a trial, and show it."""
        changed = self.status.take(event)
        self._say(event, changed)
        self._show(now=changed)
        if time.monotonic() - self._pictured >= _PICTURE_EVERY:
            self._show_faces()

    def end(self) -> None:
        """Show the sweep's final progress."""
        self._log.info("%s", self.status.words())
        self._show(now=True)
        self._show_faces()

    def _take_complete(self) -> None:
        """Add what earlier commands have completed, so that the best so far is the best of all."""
        for trial in self._plan.known:
            store = self._plan.folder(trial.number)
            record = read_record(store)
            if record is None or not is_complete(record):
                continue
            self.status.complete(record, result_of(store, record, self._plan.settings.metric))

    def _say(self, event: TrialEvent, changed: bool) -> None:
        """Log a trial's change of state, and now and then a running trial's progress."""
        now = time.monotonic()
        first, last = _LINES_EVERY
        pause = min(last, max(first, (now - self._started) / 20))
        if changed or now - self._said >= pause:
            self._said = now
            self._log.info("%s", self.status.line(event))

    def _show(self, now: bool) -> None:
        self._progress.show(self.status.percent, self.status.words(), self._log, now=now)
        if rows := self.status.rows():
            self._table.show(rows, self._caption, self._log, now=now)

    def _show_faces(self) -> None:
        """Show the newest grid of the best trial so far."""
        self._pictured = time.monotonic()
        ahead = self.status.ahead
        if ahead is None or self._plan.settings.no_faces:
            return
        store = self._plan.folder(ahead)
        try:
            newest = max((info.key for info in store.list(GRIDS)), default=None)
            if newest is not None:
                description = (
                    f"Fixed faces, {self.status.name(ahead)}, the best so far, {self._plan.store.url}"
                )
                self._faces.show(store.get(newest).data, self._log, description)
        except (FileNotFoundError, StorageError) as error:
            self._log.warning("the best trial's faces are not shown: %s", error)
