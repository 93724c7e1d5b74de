"""Ray Tune's FIFO scheduler, with enough time for the last checkpoints."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from flows.runtime.internals import set_cleanup_seconds
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
        self._controller = tune_controller
        set_cleanup_seconds(tune_controller, PATIENCE + 2)
        super().on_trial_add(tune_controller, trial)

    def shorten_grace_period(self) -> None:
        """Called when the sweep is interrupted: trials that do not write their checkpoint soon are killed."""
        set_cleanup_seconds(self._controller, GRACE + 2)
