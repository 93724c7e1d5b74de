"""What a sweep shows while it goes on: how many trials are done, how they compare so far, the best one's faces."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from flows import reporting
from flows.storage import StorageError
from flows.sweep.board import Board
from flows.sweep.events import TrialEvent
from flows.sweep.folders import trial_store
from flows.sweep.leaderboard import number, sort_value
from flows.sweep.plan import Plan
from flows.sweep.records import SETTLED, State, finite, read_record

GRIDS = "grids/"
_ENDED = SETTLED | {"failed"}
_PROGRESS_EVERY, _TABLE_EVERY, _PICTURE_EVERY = 2.0, 10.0, 30.0  # seconds
_LINES_EVERY = (2.0, 30.0)  # seconds between lines on trials that go on: at first, and in a long sweep
_ORDER: tuple[State, ...] = (
    "finished",
    "stopped_early",
    "diverged",
    "failed",
    "running",
    "interrupted",
    "waiting",
)


@dataclass
class _Course:
    """What is known of one trial so far; ``value`` is its metric at its last validation, ``best`` at its best."""

    label: str
    state: State = "waiting"
    step: int = 0
    steps: int = 0
    value: float | None = None
    best: float | None = None


class SweepWatch:
    """The progress of all trials, as lines in the log and artifacts in the UI."""

    def __init__(self, plan: Plan, log: reporting.Log) -> None:
        self._plan, self._log = plan, log
        self._courses = {trial.number: _Course(trial.label) for trial in plan.known}
        self._started = self._said = time.monotonic()
        self._pictured: float | None = None
        self._progress = Board("progress", "sweep-progress", _PROGRESS_EVERY)
        self._table = Board("table", "sweep-leaderboard", _TABLE_EVERY)
        self._faces = reporting.Picture(
            "sweep-best-so-far", f"Fixed faces of the best trial so far, {plan.store.url}"
        )

    def event(self, event: TrialEvent) -> None:
        """Take in something new about a trial, and show it."""
        course = self._course(event.number)
        before, course.state = course.state, event.state
        course.step, course.steps = max(course.step, event.step), event.steps or course.steps
        if event.numbers:
            self._measured(course, event.numbers, trained=event.step > 0)
        self._say(event, course, news=before != event.state)
        self._show(now=before != event.state)

    def end(self) -> None:
        """Show where it has come to, now."""
        self._show(now=True)
        self._table.show(self.rows(), self._compared(), self._log, now=True)
        self._show_faces()

    def words(self) -> str:
        """How many trials are in which state: ``3 of 8 trials ended: 2 finished, 1 failed; 2 running, 3 waiting``."""
        counts: Counter[str] = Counter(course.state for course in self._courses.values())
        total = self._plan.count
        counts["waiting"] += total - len(self._courses)
        told = {state: f"{counts[state]:,} {state.replace('_', ' ')}" for state in _ORDER if counts[state]}
        ended = ", ".join(words for state, words in told.items() if state in _ENDED)
        others = ", ".join(words for state, words in told.items() if state not in _ENDED)
        done = sum(counts[state] for state in _ENDED)
        line = f"{done:,} of {total:,} trials ended" + (f": {ended}" if ended else "")
        return "; ".join(filter(None, (line, others)))

    def rows(self) -> list[dict[str, str]]:
        """The trials that have been begun, the best first, as a table."""
        metric, mode = self._plan.settings.metric, self._plan.settings.mode
        begun = [item for item in self._courses.items() if item[1].state != "waiting"]
        begun.sort(key=lambda item: (item[1].state == "failed", sort_value(item[1].best, mode), item[0]))
        return [
            {
                "trial": f"{trial:03d}",
                "settings": course.label,
                "state": course.state.replace("_", " "),
                "step": f"{course.step:,}" + (f" of {course.steps:,}" if course.steps else ""),
                f"best {metric.replace('_', ' ')}": number(course.best),
                "now": number(course.value),
            }
            for trial, course in begun
        ]

    def _course(self, trial: int) -> _Course:
        if trial not in self._courses:  # one that the search has suggested meanwhile
            record = read_record(trial_store(self._plan, trial))
            self._courses[trial] = _Course(record["label"] if record else "")
        return self._courses[trial]

    def _measured(self, course: _Course, numbers: Mapping[str, float | None], trained: bool) -> None:
        mode, course.value = self._plan.settings.mode, finite(numbers.get(self._plan.settings.metric))
        if trained:
            course.best = min(course.best, course.value, key=lambda value: sort_value(value, mode))

    def _say(self, event: TrialEvent, course: _Course, news: bool) -> None:
        """A line on what a trial has become, or now and then on one that goes on."""
        now = time.monotonic()
        first, last = _LINES_EVERY
        pause = min(last, max(first, (now - self._started) / 20))
        if not (news or event.note or now - self._said >= pause):
            return
        self._said = now
        words = [f"{event.state.replace('_', ' ')}" if event.state != "running" else ""]
        if course.step:
            words.append(f"step {course.step:,}" + (f" of {course.steps:,}" if course.steps else ""))
        if course.value is not None:
            words.append(f"{self._plan.settings.metric.replace('_', ' ')} {number(course.value)}")
        line = ", ".join(filter(None, words)) or "begins"
        note = f"; {event.note}" if event.note else ""
        self._log.info("trial %03d (%s): %s%s", event.number, course.label, line, note)
        if event.state in _ENDED and news:
            self._log.info("%s", self.words())

    def _show(self, now: bool = False) -> None:
        shares = [
            1.0 if course.state in _ENDED else course.step / course.steps if course.steps else 0.0
            for course in self._courses.values()
        ]
        percent = round(100 * min(1.0, sum(shares) / max(self._plan.count, 1)), 1)
        self._progress.show(percent, self.words(), self._log, now=now)
        self._table.show(self.rows(), self._compared(), self._log)
        if self._pictured is None or time.monotonic() - self._pictured >= _PICTURE_EVERY:
            self._show_faces()

    def _show_faces(self) -> None:
        """The newest grid of the trial that is ahead."""
        mode = self._plan.settings.mode
        known = [item for item in self._courses.items() if item[1].best is not None]
        if not known:
            return
        self._pictured = time.monotonic()
        ahead, _ = min(known, key=lambda item: (sort_value(item[1].best, mode), item[0]))
        store = trial_store(self._plan, ahead)
        try:
            newest = max((info.key for info in store.list(GRIDS)), default=None)
            if newest is not None:
                self._faces.show(store.get(newest).data, self._log)
        except (FileNotFoundError, StorageError) as error:
            self._log.warning("the best trial's faces are not shown: %s", error)

    def _compared(self) -> str:
        return f"Trials so far, by {self._plan.settings.metric.replace('_', ' ')}, {self._plan.store.url}"
