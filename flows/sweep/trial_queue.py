"""The queue of trials that Ray Tune takes its trials from."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from flows.storage import Store, open_store
from flows.sweep.not_pickled import NotPickled
from flows.sweep.plan import SweepPlan, Trial
from flows.sweep.records import (
    is_settled,
    new_record,
    read_checks,
    read_record,
    value_of,
    write_record,
)
from flows.sweep.suggestions import Suggestions


class TrialQueue(NotPickled, Searcher):
    """Gives Tune one trial after the other: first the known ones, then those that a search suggests.

    Attributes:
        settled: trials that are done.
        count: the number of trials so far.
    """

    def __init__(self, plan: SweepPlan) -> None:
        """Read the folders of the known trials.

        Raises:
            StorageError: the storage failed for longer than its retries last.
        """
        super().__init__()
        self._plan = plan
        settings, known = plan.settings, sorted(plan.known, key=lambda trial: trial.number)
        self.settled = [trial for trial in known if is_settled(read_record(store_of(trial)))]
        self.count = len(known)
        self._todo = [trial for trial in known if trial not in self.settled]
        self._running: dict[str, Trial] = {}
        self._suggestions: Suggestions | None = None
        self._budget = settings.trials or len(known)
        if settings.search == "optuna":
            self._suggestions = Suggestions(plan.axes, settings.mode, settings.seed, self._budget)
            for trial in known:
                self._suggestions.remember(trial.number, trial.changes)
            for trial in self.settled:
                self._tell(trial)

    @property
    def left(self) -> bool:
        """Whether any trial is left."""
        return bool(self._todo) or (self._suggestions is not None and self.count < self._budget)

    def suggest(self, trial_id: str) -> Any:
        """The configuration of the next trial's process."""
        trial = self._todo.pop(0) if self._todo else self._suggest()
        if trial is None:
            return Searcher.FINISHED
        self._running[trial_id] = trial
        return payload(self._plan, trial)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial has ended."""
        self._tell(self._running.pop(trial_id))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing is kept."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""

    def _suggest(self) -> Trial | None:
        """The search's next trial. Its record is written before it begins, so that its number is taken."""
        if self._suggestions is None or self.count >= self._budget:
            return None
        changes = self._suggestions.next(self.count)
        if changes is None:
            return None
        trial = self._plan.trial(self.count, changes)
        write_record(store_of(trial), new_record(trial.number, trial.changes, trial.label))
        self.count += 1
        return trial

    def _tell(self, trial: Trial) -> None:
        if self._suggestions is not None:
            value = value_of(read_checks(store_of(trial)), self._plan.settings.metric)
            self._suggestions.tell(trial.number, value)


def payload(plan: SweepPlan, trial: Trial) -> dict[str, Any]:
    """A trial in plain JSON, as the config of its process: :class:`flows.sweep.trial.TrialActor`."""
    settings = plan.settings
    return {
        "number": trial.number,
        "url": trial.url,
        "label": trial.label,
        "changes": trial.changes,
        "settings": trial.settings.model_dump(mode="json", exclude_defaults=True),
        "cpus": settings.cpus_per_trial,
        "gpus": settings.gpus_per_trial,
        "metric": settings.metric,
        "waits": settings.scheduler == "asha",
    }


def store_of(trial: Trial) -> Store:
    """A trial's folder."""
    return open_store(trial.url, option="--destination")
