"""ASHA: a trial that is behind most others at the same step is stopped, so that the better ones get its place.

Asynchronous successive halving (Li et al., *A System for Massively Parallel Hyperparameter Tuning*, 2020), as Ray Tune
has it. Tune would forget in a new process what it has seen: here the trials that are settled are told to it again.
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
from flows.sweep.in_order import InOrder
from flows.sweep.plan import Trial
from flows.sweep.records import EARLY, finite, read_checks

REDUCTION = 3  # of so many trials that come to a rung one goes on
_GRACE = 4  # the first rung is after this part of the steps
_RUNGS = 12  # more than any trial comes to


class EarlyStopping(InOrder):
    """Tune's scheduler: trials begin in their order, and validations decide who goes on.

    Args:
        settings: of the sweep.
        settled: trials that have ended already.
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
        """Whether a trial goes on. One that is stopped finds the reason in its folder."""
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
        """Set the rungs, now that it is known how long a trial is, and tell what is known of the settled ones."""
        grace = self._settings.grace_steps or max(1, steps // _GRACE)
        self._asha = asha = ASHAScheduler(
            time_attr="step",
            metric=self._settings.metric,
            mode=self._settings.mode,
            max_t=grace * REDUCTION**_RUNGS,  # not this trial's steps: others, on more images, may have more
            grace_period=grace,
            reduction_factor=REDUCTION,
            stop_last_trials=False,  # who has come to its end has a result to write
        )
        for number, checks in self._before.items():
            for check in checks:
                if finite(check.get(self._settings.metric)) is not None:
                    self._tell(asha, number, check)
        return asha

    def _tell(self, asha: Any, number: int, result: Mapping[str, Any]) -> Any:
        """Under one name for all attempts of a trial: what is known of it is not told twice."""
        if number not in self._begun:
            self._begun[number] = SimpleNamespace(trial_id=f"{number:03d}")
            asha.on_trial_add(None, self._begun[number])
        return asha.on_trial_result(None, self._begun[number], dict(result))
