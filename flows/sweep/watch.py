"""What a sweep shows while it goes on: how many trials are done, how they compare so far, the best one's faces."""

from __future__ import annotations

import time

from flows.runtime import reporting
from flows.storage import StorageError
from flows.sweep.board import Board
from flows.sweep.events import TrialEvent
from flows.sweep.folders import trial_store
from flows.sweep.plan import Plan
from flows.sweep.records import read_record
from flows.sweep.standings import Standings
from flows.training.watch import GRIDS

_PROGRESS_EVERY, _TABLE_EVERY, _PICTURE_EVERY = 2.0, 10.0, 30.0  # seconds
_LINES_EVERY = (2.0, 30.0)  # seconds between lines on trials that go on: at first, and in a long sweep


class SweepWatch:
    """The progress of all trials, as lines in the log and artifacts in the UI, in whose place newer ones are put."""

    def __init__(self, plan: Plan, log: reporting.Log) -> None:
        self._plan, self._log = plan, log
        metric, mode = plan.settings.metric, plan.settings.mode
        self._standings = Standings(plan.known, plan.count, metric, mode, self._label)
        self._caption = f"Trials so far, by {metric.replace('_', ' ')}, {plan.store.url}"
        self._progress = Board("progress", "sweep-progress", _PROGRESS_EVERY)
        self._table = Board("table", "sweep-so-far", _TABLE_EVERY)
        self._faces = reporting.Picture(
            "sweep-best-so-far", f"Fixed faces, the best trial so far, {plan.store.url}"
        )
        self._started = self._said = self._pictured = time.monotonic()

    def event(self, event: TrialEvent) -> None:
        """Take in something new about a trial, and show it."""
        news = self._standings.take(event)
        self._say(event, news)
        self._show(now=news)
        if time.monotonic() - self._pictured >= _PICTURE_EVERY:
            self._show_faces()

    def end(self) -> None:
        """Show where the sweep has come to, all of it, now."""
        self._log.info("%s", self._standings.words())
        self._show(now=True)
        self._show_faces()

    def _label(self, number: int) -> str:
        """Of a trial that a search has suggested meanwhile."""
        try:
            record = read_record(trial_store(self._plan, number))
        except StorageError:  # the trials' storage is not ours to judge: they raise their own
            record = None
        return record["label"] if record else "?"

    def _say(self, event: TrialEvent, news: bool) -> None:
        """A line on what a trial has become, or now and then on one that goes on."""
        now = time.monotonic()
        first, last = _LINES_EVERY
        pause = min(last, max(first, (now - self._started) / 20))
        if news or now - self._said >= pause:
            self._said = now
            self._log.info("%s", self._standings.line(event))

    def _show(self, now: bool) -> None:
        self._progress.show(self._standings.percent, self._standings.words(), self._log, now=now)
        if rows := self._standings.rows():
            self._table.show(rows, self._caption, self._log, now=now)

    def _show_faces(self) -> None:
        """The newest grid of the trial that is ahead."""
        self._pictured = time.monotonic()
        ahead = self._standings.ahead
        if ahead is None:
            return
        store = trial_store(self._plan, ahead)
        try:
            newest = max((info.key for info in store.list(GRIDS)), default=None)
            if newest is not None:
                self._faces.show(store.get(newest).data, self._log)
        except (FileNotFoundError, StorageError) as error:
            self._log.warning("the best trial's faces are not shown: %s", error)
