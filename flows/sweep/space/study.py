"""The search and the early stopping of a sweep, by Optuna: which settings to try next, and which trials to stop.

The study is in memory. A sweep that resumes makes it again from its trials' folders: all trials in their order, the
scheduler's decisions in the order in which they were made, and the results. With the same results it then suggests and
decides what the study of an undisturbed sweep would, because each suggestion has a seed of its own, made of the sweep's
seed and the trial's number.

The scheduler ``asha`` is asynchronous successive halving (Li et al., *A System for Massively Parallel Hyperparameter
Tuning*, 2020): when a trial passes a rung, it continues if it is among the best third of all trials that have passed
this rung before it. The rungs are at ``grace_steps`` times a power of three. Without ``grace_steps`` they are at a
quarter and three quarters of each trial's own steps, which the subset, the batch size or the epochs may decide: so
trials are compared that have made equal progress. Optuna's pruners compare one metric, so a sweep with two has no
scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from flows.settings import SweepSettings
from flows.sweep.records import Decision, finite
from flows.sweep.space.axes import Axis, Choices

# Of three trials that reach a rung, one continues.
REDUCTION = 3
# Without ``grace_steps`` a trial's progress is counted in millionths of its steps. Thousandths would give two
# validations of a long trial the same number.
_WHOLE = 1_000_000
_FIRST_RUNG = _WHOLE // 4
# Random trials before Optuna's model of the space is used; a third of a small budget.
_AT_RANDOM = 10
# After so many suggestions in a row that were tried before, a small space counts as exhausted.
_REPEATS = 100

Changes = dict[str, Any]


class Study:
    """The trials of a sweep as Optuna sees them.

    Args:
        settings: resolved, of the sweep.
        axes: of the space.
    """

    def __init__(self, settings: SweepSettings, axes: Sequence[Axis]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = {axis.name: _distribution(axis) for axis in axes}
        self._seed = settings.seed
        self._at_random = min(_AT_RANDOM, max(2, (settings.trials or 1) // 3))
        self._grace = settings.grace_steps
        self._study = optuna.create_study(
            directions=[
                StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE
                for mode in settings.modes.values()
            ]
        )
        self._trials: dict[int, optuna.Trial] = {}
        self._stopped: set[int] = set()
        self._tried: list[Changes] = []
        self._decided = 0

    def learn(self, changes: Changes, values: Sequence[float]) -> bool:
        """Add the result of another sweep's trial, before all own trials; returns whether it lies in this space.

        Args:
            changes: its searched settings.
            values: one of each metric.
        """
        try:
            self._study.add_trial(
                optuna.create_trial(params=changes, distributions=self._space, values=list(values))
            )
        except ValueError:
            return False
        return True

    def add(self, number: int, changes: Changes) -> None:
        """Add a trial that was not suggested by this study. Call it in the order of the numbers."""
        self._study.enqueue_trial(changes)
        self._trials[number] = self._study.ask(self._space)
        self._tried.append(changes)

    def suggest(self, number: int) -> Changes | None:
        """Suggest a trial; None if the space is exhausted."""
        seed = (self._seed * 1_000_003 + number) % 2**32
        self._study.sampler = TPESampler(seed=seed, n_startup_trials=self._at_random)
        for _ in range(_REPEATS):
            trial = self._study.ask(self._space)
            changes = dict(trial.params)
            if changes not in self._tried:
                self._trials[number] = trial
                self._tried.append(changes)
                return changes
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def decide(self, number: int, step: int, steps: int, value: float | None) -> Decision:
        """Decide whether a running trial continues after a validation.

        Args:
            number: of the trial.
            step: of the validation; each step is decided once.
            steps: of the whole trial. After the last one a trial is never stopped, because it still writes its result.
            value: of the metric.
        """
        decision = Decision(order=self._decided, step=step, value=value, stop=False, grace_steps=self._grace)
        if self._grace is None:
            decision["progress"] = _WHOLE * step // steps
        self._decided += 1
        if step < steps and self._report(number, decision.get("progress", step), value):
            decision["stop"] = True
            self._stopped.add(number)
        return decision

    def observe(self, number: int, step: int, steps: int, value: float | None) -> None:
        """Add a validation of an ended trial that no decision was recorded about, as before version 0.3."""
        if step < steps:
            self._report(number, step if self._grace else _WHOLE * step // steps, value)

    def replay(self, decisions: Iterable[tuple[int, Decision]]) -> None:
        """Take over decisions of earlier commands, each with the number of its trial. They stand as they are."""
        for number, decision in sorted(decisions, key=lambda item: item[1]["order"]):
            self._grace = decision["grace_steps"]
            self._report(number, decision.get("progress", decision["step"]), decision["value"])
            self._decided = decision["order"] + 1
            if decision["stop"]:
                self._stopped.add(number)

    def tell(self, number: int, values: Sequence[float | None]) -> None:
        """Add the result of a trial: a value of each metric, None if it has none. Only its first result counts."""
        trial = self._trials.pop(number, None)
        if trial is None:
            return
        # A trial without a value counts as worse than all others, since similar trials are likely to fail, too.
        if None in values or number in self._stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, [value for value in values if value is not None])

    def _report(self, number: int, done: int, value: float | None) -> bool:
        """Report a validation after so many steps, or millionths of them; returns whether to stop the trial."""
        if (value := finite(value)) is None:
            return False
        self._study.pruner = SuccessiveHalvingPruner(
            min_resource=self._grace or _FIRST_RUNG, reduction_factor=REDUCTION
        )
        self._trials[number].report(value, done)
        return self._trials[number].should_prune()


def _distribution(axis: Axis) -> BaseDistribution:
    if isinstance(axis, Choices):
        return CategoricalDistribution(axis.values)
    if axis.scale == "int":
        return IntDistribution(int(axis.low), int(axis.high))
    return FloatDistribution(axis.low, axis.high, log=axis.scale == "log")
