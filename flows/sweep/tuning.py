"""Run the trials of a sweep with Ray Tune.

Tune runs and stops the trials, but its own state goes into a temporary folder and is never read again, because it is
partly lost when the driver is killed. A new command reads the trials' folders and runs those that are not settled.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.stopper import Stopper

from flows.runtime import cluster, reporting
from flows.sweep.early_stopping import EarlyStoppingScheduler
from flows.sweep.events import Ending, TrialEvent
from flows.sweep.fifo_scheduler import FifoScheduler
from flows.sweep.listener import Listener
from flows.sweep.not_pickled import NotPickled
from flows.sweep.plan import SweepPlan
from flows.sweep.trial import PATIENCE, TrialActor
from flows.sweep.trial_queue import TrialQueue

__all__ = ["Ending", "TrialEvent", "run_trials"]

# Seconds between two questions whether to stop.
_ASKS_EVERY = 1.0
# Seconds, for what should never happen.
_NEVER = "1000000000"
_TUNE = {
    # The flow handles signals and writes the files of results.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": _NEVER,
    "TUNE_WARN_THRESHOLD_S": _NEVER,
    # For a trial that is stopped while others continue.
    "TUNE_FORCE_TRIAL_CLEANUP_S": f"{PATIENCE + 2:.0f}",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # The new output prints tables whatever the verbosity.
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_trials(
    plan: SweepPlan,
    *,
    log: reporting.Log,
    on_event: Callable[[TrialEvent], None],
    stop: Callable[[], str | None],
) -> Ending:
    """Run all trials of a sweep that are not settled, until they are, or until the user or the time limit stops them.

    A trial that fails is retried from its checkpoint, with ``attempts`` attempts in total, and then recorded as failed.
    A trial whose settings are refused, or that diverges, is recorded at once. The other trials continue. Half a minute
    after ``stop`` has returned a reason, all processes of trials have ended, and their CPUs and GPUs are free.

    Args:
        plan: of the sweep. The folders of its trials are written.
        log: of the flow run.
        on_event: called in this thread with each event of a trial.
        stop: called in this thread about once a second; returns a reason to stop, or None.

    Raises:
        UserError: no node has the resources of a trial, or a suggested trial is refused.
        StorageError: the storage failed for longer than its retries last. The same call resumes.
        Exception: what ``on_event`` or ``stop`` raised, once all trials are stopped.
    """
    settings = plan.settings
    resources = cluster.require_ray(settings.cpus_per_trial, settings.gpus_per_trial)
    queue = TrialQueue(plan)
    listener = Listener(settings.attempts, on_event)
    scheduler = _scheduler(plan, queue, listener)
    ends = _Ends(stop, settings.hours, listener, scheduler)
    capacity = cluster.workers(resources, settings.cpus_per_trial, settings.gpus_per_trial)
    at_once = settings.parallel
    # Optuna is only asked for a trial when it can start at once, so that it knows all results by then.
    if settings.search == "optuna":
        at_once = min(at_once or capacity, capacity)
    if queue.left:
        log.info(
            "%s of %s trials are settled; the cluster runs %s at a time",
            len(queue.settled),
            plan.count,
            at_once or capacity,
        )
        with tempfile.TemporaryDirectory(prefix="attgan-tune-") as folder, _quiet_tune(capacity):
            tune.Tuner(
                TrialActor,
                tune_config=tune.TuneConfig(
                    search_alg=queue,
                    scheduler=scheduler,
                    num_samples=-1,
                    max_concurrent_trials=at_once,
                    trial_name_creator=_name,
                    trial_dirname_creator=_name,
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=folder,
                    stop=ends,
                    callbacks=[listener],
                    failure_config=tune.FailureConfig(max_failures=settings.attempts - 1),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    verbose=0,
                ),
            ).fit()
    if listener.error is not None:
        raise listener.error
    if ends.ending is not None:
        listener.interrupted(ends.ending.reason)
        return ends.ending
    return Ending(f"all {queue.count} trials are done", interrupted=False)


class _Ends(NotPickled, Stopper):
    """Decides whether the sweep ends before its trials do.

    Attributes:
        ending: how the sweep ends; None while it continues.
    """

    def __init__(
        self,
        stop: Callable[[], str | None],
        hours: float | None,
        listener: Listener,
        scheduler: FifoScheduler,
    ) -> None:
        self._stop, self._hours, self._listener, self._scheduler = stop, hours, listener, scheduler
        self._began = self._asked = time.monotonic()
        self.ending: Ending | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stops no single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether to stop all trials. Tune asks ten times a second."""
        now = time.monotonic()
        if self.ending is None and now - self._asked >= _ASKS_EVERY:
            self._asked = now
            with self._listener.guarded():
                if (reason := self._stop()) is not None:
                    self.ending = Ending(reason, interrupted=True)
            if self.ending is None and self._hours is not None and now - self._began > self._hours * 3600:
                self.ending = Ending(f"its {self._hours:g} hours are over", interrupted=False)
        if self.ending is None and self._listener.error is None:
            return False
        self._scheduler.shorten_grace_period()
        return True


def _scheduler(plan: SweepPlan, queue: TrialQueue, listener: Listener) -> FifoScheduler:
    if plan.settings.scheduler == "asha":
        return EarlyStoppingScheduler(plan.settings, queue.settled, listener.guarded)
    return FifoScheduler()


def _name(trial: TuneTrial) -> str:
    return f"trial_{trial.config['number']:03d}"


@contextlib.contextmanager
def _quiet_tune(capacity: int) -> Iterator[None]:
    """Set up Tune as a part of a flow, without tables, tracebacks and signal handlers of its own."""
    # By default Tune starts a trial only when the one before has started.
    variables = _TUNE | {"TUNE_MAX_PENDING_TRIALS_PG": str(capacity)}
    before = {name: os.environ.get(name) for name in variables}
    logger = logging.getLogger("ray.tune")
    level = logger.level
    os.environ.update(variables)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
