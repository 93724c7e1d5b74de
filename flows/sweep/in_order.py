"""Tune's scheduler where no trial is stopped early."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from flows.sweep.trial import GRACE, PATIENCE
from flows.sweep.unkept import Unkept


class InOrder(Unkept, FIFOScheduler):
    """Trials begin in their order, and each goes on to its end.

    In the end of all Tune gives trials ten seconds for their checkpoints, and has no option for more (Ray 2.60). So its
    controller is told here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Tune has a trial more, which may need long for its last checkpoint."""
        self._controller = getattr(tune_controller, "_tune_controller", None)
        self._wait(PATIENCE + 2)
        super().on_trial_add(tune_controller, trial)

    def hurry(self) -> None:
        """Everything ends now: who has not kept its state soon is killed."""
        self._wait(GRACE + 2)

    def _wait(self, seconds: float) -> None:
        if hasattr(self._controller, "_actor_force_cleanup_timeout"):
            self._controller._actor_force_cleanup_timeout = seconds
