"""Optuna's part of a search: which settings to try next, given the results so far.

Each trial's suggestion has a seed of its own, made of the search's seed and the trial's number. So a search that
resumes with the same results suggests the same trials as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from flows.sweep.space import Axis, Choices

# Random trials before Optuna's model of the space is used; a third of a small budget.
_AT_RANDOM = 10
# After so many suggestions in a row that were tried before, a small space counts as exhausted.
_REPEATS = 100

Changes = dict[str, Any]


class Suggestions:
    """A search's suggestions and their results.

    Args:
        axes: of the space.
        mode: "max" or "min": which values are better.
        seed: of the search.
        budget: trials in all.
    """

    def __init__(self, axes: Sequence[Axis], mode: Literal["max", "min"], seed: int, budget: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = {axis.name: _distribution(axis) for axis in axes}
        self._seed = seed
        self._at_random = min(_AT_RANDOM, max(2, budget // 3))
        self._study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
        self._open: dict[int, optuna.Trial] = {}
        self._tried: list[Changes] = []

    def remember(self, number: int, changes: Changes) -> None:
        """Add a trial of an earlier command. Call it in the order of the numbers; its result may follow later."""
        self._study.enqueue_trial(changes)
        self._open[number] = self._study.ask(self._space)
        self._tried.append(changes)

    def next(self, number: int) -> Changes | None:
        """Suggest a trial; None if the space is exhausted."""
        self._study.sampler = optuna.samplers.TPESampler(
            seed=(self._seed * 1_000_003 + number) % 2**32, n_startup_trials=self._at_random
        )
        for _ in range(_REPEATS):
            trial = self._study.ask(self._space)
            changes = dict(trial.params)
            if changes not in self._tried:
                self._open[number] = trial
                self._tried.append(changes)
                return changes
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def tell(self, number: int, value: float | None) -> None:
        """Add a trial's result; None if it has no value. Only the first result of a trial counts."""
        trial = self._open.pop(number, None)
        if trial is not None:
            # A trial without a value counts as worse than all others, since similar trials are likely to fail, too.
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            self._study.tell(trial, value, state=state)


def _distribution(axis: Axis) -> BaseDistribution:
    if isinstance(axis, Choices):
        return CategoricalDistribution(axis.values)
    if axis.scale == "int":
        return IntDistribution(int(axis.low), int(axis.high))
    return FloatDistribution(axis.low, axis.high, log=axis.scale == "log")
