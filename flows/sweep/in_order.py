"""Tune's scheduler where no trial is stopped early."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from flows.sweep.trial import GRACE
from flows.sweep.unkept import Unkept


class InOrder(Unkept, FIFOScheduler):
    """Trials begin in their order, and each goes on to its end."""

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Let Tune wait for the trials' checkpoints in the end: by itself it kills after ten seconds (Ray 2.60)."""
        controller: Any = getattr(tune_controller, "_tune_controller", None)
        if hasattr(controller, "_actor_force_cleanup_timeout"):
            controller._actor_force_cleanup_timeout = GRACE + 2
        super().on_trial_add(tune_controller, trial)
