"""The progress of a sweep while it runs: how many trials are done, how they compare, and the best one's faces."""

from __future__ import annotations

import time

from flows.runtime import reporting
from flows.storage import StorageError
from flows.sweep.events import TrialEvent
from flows.sweep.folders import trial_store
from flows.sweep.live_artifact import LiveArtifact
from flows.sweep.plan import SweepPlan
from flows.sweep.records import read_record
from flows.sweep.trial_status import TrialStatus
from flows.training.watch import GRIDS

# Seconds between two updates.
_PROGRESS_EVERY, _TABLE_EVERY, _PICTURE_EVERY = 2.0, 10.0, 30.0
# Seconds between two lines about running trials: at first, and in a long sweep.
_LINES_EVERY = (2.0, 30.0)


class SweepWatch:
    """Shows the progress of all trials: as lines in the log and as live artifacts in the UI."""

    def __init__(self, plan: SweepPlan, log: reporting.Log) -> None:
        self._plan, self._log = plan, log
        metric, mode = plan.settings.metric, plan.settings.mode
        self._status = TrialStatus(plan.known, plan.count, metric, mode, self._label)
        self._caption = f"Trials so far, by {metric.replace('_', ' ')}, {plan.store.url}"
        self._progress = LiveArtifact("progress", "sweep-progress", _PROGRESS_EVERY)
        self._table = LiveArtifact("table", "sweep-so-far", _TABLE_EVERY)
        self._faces = reporting.Picture(
            "sweep-best-so-far", f"Fixed faces, the best trial so far, {plan.store.url}"
        )
        self._started = self._said = self._pictured = time.monotonic()

    def event(self, event: TrialEvent) -> None:
        """Handle an event of a trial, and show it."""
        news = self._status.take(event)
        self._say(event, news)
        self._show(now=news)
        if time.monotonic() - self._pictured >= _PICTURE_EVERY:
            self._show_faces()

    def end(self) -> None:
        """Show the sweep's final progress."""
        self._log.info("%s", self._status.words())
        self._show(now=True)
        self._show_faces()

    def _label(self, number: int) -> str:
        """The label of a trial that a search has suggested."""
        try:
            record = read_record(trial_store(self._plan, number))
        except StorageError:
            # If the storage fails for good, the trials raise the error.
            record = None
        return record["label"] if record else "?"

    def _say(self, event: TrialEvent, news: bool) -> None:
        """Log a trial's change of state, and now and then a running trial's progress."""
        now = time.monotonic()
        first, last = _LINES_EVERY
        pause = min(last, max(first, (now - self._started) / 20))
        if news or now - self._said >= pause:
            self._said = now
            self._log.info("%s", self._status.line(event))

    def _show(self, now: bool) -> None:
        self._progress.show(self._status.percent, self._status.words(), self._log, now=now)
        if rows := self._status.rows():
            self._table.show(rows, self._caption, self._log, now=now)

    def _show_faces(self) -> None:
        """Show the newest grid of the best trial so far."""
        self._pictured = time.monotonic()
        ahead = self._status.ahead
        if ahead is None:
            return
        store = trial_store(self._plan, ahead)
        try:
            newest = max((info.key for info in store.list(GRIDS)), default=None)
            if newest is not None:
                self._faces.show(store.get(newest).data, self._log)
        except (FileNotFoundError, StorageError) as error:
            self._log.warning("the best trial's faces are not shown: %s", error)
