"""Ray Tune's FIFO scheduler, with enough time for the last checkpoints."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from flows.sweep.not_pickled import NotPickled
from flows.sweep.trial import GRACE, PATIENCE


class FifoScheduler(NotPickled, FIFOScheduler):
    """Trials begin in their order, and each runs to its end.

    When everything ends, Tune gives trials ten seconds for their checkpoints, and has no option for more (Ray 2.60). So
    this class sets the time in Tune's controller.
    """

    def __init__(self) -> None:
        super().__init__()
        self._controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Called by Tune for each new trial; allows it time for its last checkpoint."""
        self._controller = getattr(tune_controller, "_tune_controller", None)
        self._wait(PATIENCE + 2)
        super().on_trial_add(tune_controller, trial)

    def hurry(self) -> None:
        """Everything ends now: trials that do not write their checkpoint soon are killed."""
        self._wait(GRACE + 2)

    def _wait(self, seconds: float) -> None:
        if hasattr(self._controller, "_actor_force_cleanup_timeout"):
            self._controller._actor_force_cleanup_timeout = seconds
