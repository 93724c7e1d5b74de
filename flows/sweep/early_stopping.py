"""Early stopping with ASHA: a trial that is behind most others at the same step is stopped and frees its resources.

ASHA is asynchronous successive halving (Li et al., *A System for Massively Parallel Hyperparameter Tuning*, 2020), as
implemented in Ray Tune. Tune keeps no results from one process to the next, so a new process gives it the validations
of all settled trials again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler

from flows.settings import SweepSettings
from flows.storage import open_store
from flows.sweep.fifo_scheduler import FifoScheduler
from flows.sweep.plan import Trial
from flows.sweep.records import EARLY, finite, read_checks

# Of three trials that reach a rung, one continues.
REDUCTION = 3
# The first rung is after a quarter of the steps.
_GRACE = 4
# More rungs than any trial reaches.
_RUNGS = 12


class EarlyStoppingScheduler(FifoScheduler):
    """The scheduler with early stopping: trials begin in their order, and validations decide which of them continue.

    Args:
        settings: of the sweep.
        settled: trials that have ended before.
        guarded: a context that keeps exceptions for the end of the sweep.
    """

    def __init__(
        self,
        settings: SweepSettings,
        settled: Iterable[Trial],
        guarded: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__()
        self._settings, self._guarded = settings, guarded
        self._before = {
            trial.number: read_checks(open_store(trial.url, option="--destination")) for trial in settled
        }
        self._asha: ASHAScheduler | None = None
        self._begun: dict[int, Any] = {}

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """Decide whether a trial continues. The reason for stopping is written into its folder, where it finds it."""
        step, metric = result.get("step", 0), self._settings.metric
        if metric not in result or step >= result["steps"]:
            return self.CONTINUE
        asha = self._asha or self._begin(result["steps"])
        decision: str = self._tell(asha, trial.config["number"], result)
        if decision != self.STOP:
            return self.CONTINUE
        words = f"stopped early: {metric} {result[metric]:.3g} at step {step:,} is behind the other trials"
        with self._guarded():
            store = open_store(trial.config["url"], option="--destination")
            store.put(EARLY, words.encode())
            return self.STOP
        return self.CONTINUE

    def _begin(self, steps: int) -> ASHAScheduler:
        """Create ASHA, now that the length of a trial is known, and give it the validations of the settled trials."""
        grace = self._settings.grace_steps or max(1, steps // _GRACE)
        self._asha = asha = ASHAScheduler(
            time_attr="step",
            metric=self._settings.metric,
            mode=self._settings.mode,
            # Not this trial's steps: trials on more images may have more.
            max_t=grace * REDUCTION**_RUNGS,
            grace_period=grace,
            reduction_factor=REDUCTION,
            # A trial at its last step still has to write its result.
            stop_last_trials=False,
        )
        for number, checks in self._before.items():
            for check in checks:
                if finite(check.get(self._settings.metric)) is not None:
                    self._tell(asha, number, check)
        return asha

    def _tell(self, asha: Any, number: int, result: Mapping[str, Any]) -> Any:
        """Give ASHA a validation, under one id for all attempts of a trial, so that none counts as a new trial."""
        if number not in self._begun:
            self._begun[number] = SimpleNamespace(trial_id=f"{number:03d}")
            asha.on_trial_add(None, self._begun[number])
        return asha.on_trial_result(None, self._begun[number], dict(result))
