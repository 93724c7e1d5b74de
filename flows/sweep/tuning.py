"""The trials of a sweep, run by Ray Tune.

Tune executes and decides; it remembers nothing. What it keeps of its own goes into a temporary folder that nobody reads
again: after a kill a new Tuner runs the trials that are not settled, by what their folders say.
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
from flows.sweep.early_stopping import EarlyStopping
from flows.sweep.events import Ending, TrialEvent
from flows.sweep.in_order import InOrder
from flows.sweep.listener import Listener
from flows.sweep.plan import Plan
from flows.sweep.trial import PATIENCE, TrialActor
from flows.sweep.trial_queue import TrialQueue
from flows.sweep.unkept import Unkept

__all__ = ["Ending", "TrialEvent", "run_trials"]

_ASKS_EVERY = 1.0  # seconds
_NEVER = "1000000000"  # seconds
_TUNE = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are the flow's
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # and so are the files of results
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": _NEVER,
    "TUNE_WARN_THRESHOLD_S": _NEVER,
    "TUNE_FORCE_TRIAL_CLEANUP_S": f"{PATIENCE + 2:.0f}",  # of a trial that is stopped while others go on
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # it prints tables whatever the verbosity
}


def run_trials(
    plan: Plan,
    *,
    log: reporting.Log,
    on_event: Callable[[TrialEvent], None],
    stop: Callable[[], str | None],
) -> Ending:
    """Run all trials of a sweep that are not settled, until they are, or until somebody or the time stops them.

    A trial that fails is tried again from its checkpoint, ``attempts`` times in all, and then recorded as failed; one
    whose settings are refused, or that diverges, is recorded at once. The others go on. Half a minute after ``stop``
    has given a reason no process of a trial is left, and its CPUs and GPUs are free.

    Args:
        plan: of the sweep; the folders of its trials are written.
        log: of the flow's run.
        on_event: told in this thread whatever is new about a trial.
        stop: asked about once a second, in this thread, whether to end, and why.

    Raises:
        UserError: no node has what a trial asks for, or a suggested trial is refused.
        StorageError: the storage failed for longer than its retries last. The same call goes on.
        Exception: what ``on_event`` or ``stop`` raised, once all trials are stopped.
    """
    settings = plan.settings
    resources = cluster.require_ray(settings.cpus_per_trial, settings.gpus_per_trial)
    queue = TrialQueue(plan)
    listener = Listener(settings.attempts, on_event)
    scheduler = _scheduler(plan, queue, listener)
    ends = _Ends(stop, settings.hours, listener, scheduler)
    room = cluster.workers(resources, settings.cpus_per_trial, settings.gpus_per_trial)
    at_once = settings.parallel
    if (
        settings.search == "optuna"
    ):  # asked for a trial when there is room, knowing all that has ended by then
        at_once = min(at_once or room, room)
    if queue.left:
        log.info(
            "%s of %s trials are settled; room for %s at a time",
            len(queue.settled),
            plan.count,
            at_once or room,
        )
        with tempfile.TemporaryDirectory(prefix="attgan-tune-") as folder, _quiet_tune(room):
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


class _Ends(Unkept, Stopper):
    """Whether the sweep ends before its trials do.

    Attributes:
        ending: how; None while it goes on.
    """

    def __init__(
        self,
        stop: Callable[[], str | None],
        hours: float | None,
        listener: Listener,
        scheduler: InOrder,
    ) -> None:
        self._stop, self._hours, self._listener, self._scheduler = stop, hours, listener, scheduler
        self._began = self._asked = time.monotonic()
        self.ending: Ending | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here."""
        return False

    def stop_all(self) -> bool:
        """Asked by Tune ten times a second."""
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
        self._scheduler.hurry()
        return True


def _scheduler(plan: Plan, queue: TrialQueue, listener: Listener) -> InOrder:
    if plan.settings.scheduler == "asha":
        return EarlyStopping(plan.settings, queue.settled, listener.guarded)
    return InOrder()


def _name(trial: TuneTrial) -> str:
    return f"trial_{trial.config['number']:03d}"


@contextlib.contextmanager
def _quiet_tune(room: int) -> Iterator[None]:
    """Tune as a part of a flow: no tables, no traces, no signals of its own; as many trials begin as there is room."""
    variables = _TUNE | {
        "TUNE_MAX_PENDING_TRIALS_PG": str(room)
    }  # else one by one, each when the last has begun
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
