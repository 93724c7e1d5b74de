"""The driver's part of a training: hand it to Ray as one task, look on, and stop it in good order."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

from prefect import State, Task
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from attgan.errors import Diverged, UserError
from flows.runtime import cluster, nodes, reporting
from flows.runtime.cancelling import RunCancelled, cancel_requests
from flows.runtime.running import cause_of
from flows.settings.training import RunSettings
from flows.storage import StorageError, Store
from flows.training.stopping import deferred, new_command, request_stop
from flows.training.train import report
from flows.training.train.preparation import Prepared
from flows.training.watch import Watch

SILENT, PATIENCE = 60.0, 300.0  # seconds for the step under way and a checkpoint: without news, and at most
GOES_ON = "the same command goes on from the last checkpoint"


def may_go_on(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """A training task's retry condition: a storage's trouble may go away by itself, a mistake or a bug does not."""
    return isinstance(state.data, StorageError | OSError)


RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [2, 20], "retry_condition_fn": may_go_on}


def run_on_ray(task: Task[..., Any], prepared: Prepared, log: reporting.Log) -> dict[str, Any] | State[Any]:
    """Run the task that trains, unless its run is finished already, and show how it goes.

    Args:
        task: takes ``settings`` and ``command``, and returns how the training ended, as
            :func:`flows.training.train.trial.train_trial` does.
        prepared: what has been checked.
        log: of the flow's run.

    Returns:
        The result, or a failed state with one line.

    Raises:
        UserError: as :func:`drive`.
    """
    store = prepared.store
    for line in report.opening_lines(prepared):
        log.info("%s", line)
    if prepared.finished is not None:
        log.info("%s holds this very run, finished", store.url)
        return report.result(prepared, prepared.finished, 0.0)
    started = time.monotonic()
    outcome = drive(task, prepared.settings, store, log)
    if not isinstance(outcome, dict):
        return outcome
    result = report.result(prepared, outcome, time.monotonic() - started)
    reporting.table(f"{task.name}-result", report.result_rows(result), f"Result, {store.url}")
    return result


def drive(
    task: Task[..., Any], settings: RunSettings, store: Store, log: reporting.Log
) -> dict[str, Any] | State[Any]:
    """Hand the task to Ray, show what it writes into its run's folder, and wait for its end.

    Args:
        task: takes ``settings`` and ``command``, the id that this call gives itself; returns how it ended:
            ``ended`` ("finished" or "stopped"), ``step`` …
        settings: of the run.
        store: the run's folder, with the worker's ``progress.json``, curves and grids.
        log: of the flow's run.

    Returns:
        What the task returned if it has finished, or a failed state with one line.

    Raises:
        UserError: the cluster has no such node, nodes that do not see a path, or what the worker refused.
        RunCancelled: the run was cancelled on the server, and the worker has stopped or did not in time.
    """
    cpus = settings.cpus or cluster.largest_node(settings.gpus)
    cluster.require_ray(cpus, settings.gpus)
    nodes.require_reachable(
        {"--dataset": settings.dataset, "--bundle": getattr(settings, "bundle", None)}, settings.destination
    )
    command = new_command()
    watch = Watch(store, task.name, log, command)
    call = {"settings": settings.model_copy(update={"cpus": cpus}), "command": command}
    try:
        with (
            deferred(signal.SIGINT, signal.SIGTERM) as arrived,  # Ray's wait makes a SystemError of a SIGTERM
            cancel_requests(log) as cancelled,
        ):
            look = _Looking(watch, store, command, lambda: bool(arrived or cancelled()), log)
            tasks = cluster.run_tasks(task, [call], cpus=cpus, gpus=settings.gpus, parallel=1, on_wait=look)
            with contextlib.closing(tasks) as ended:
                _, state = next(ended)
    except _GaveUp as ending:
        if why := cancelled():
            raise RunCancelled(f"{why}; {GOES_ON}") from ending
        raise
    watch.end()
    if not state.is_completed():
        return _failed(state)
    outcome: dict[str, Any] = state.result()
    if outcome["ended"] == "finished":
        return outcome
    stopped = f"stopped after step {outcome['step']:,}; {GOES_ON}"
    if why := cancelled():
        raise RunCancelled(f"{why}; {stopped}")
    return Failed(message=stopped)


def _failed(state: State[Any]) -> State[Any]:
    """The flow's end where the task did not end well.

    Raises:
        UserError: it was the user's mistake.
    """
    cause = cause_of(state)
    if isinstance(cause, UserError):
        raise cause
    if isinstance(cause, Diverged):
        return Failed(message=str(cause))
    return Failed(message=f"{state.message}; {GOES_ON}")


class _GaveUp(Exception):
    """The worker did not stop in time, or had nothing to lose."""


class _Looking:
    """Called while the task runs: shows what is new; once there is a reason, asks the worker to stop."""

    def __init__(
        self,
        watch: Watch,
        store: Store,
        command: str,
        to_stop: Callable[[], bool],
        log: reporting.Log,
    ) -> None:
        self._watch, self._store, self._command = watch, store, command
        self._to_stop, self._log = to_stop, log
        self._asked: float | None = None

    def __call__(self) -> None:
        self._watch.look()
        if self._asked is not None:
            now = time.monotonic()
            if now - max(self._asked, self._watch.heard) > SILENT or now - self._asked > PATIENCE:
                self._give_up(f"the worker has not stopped within {now - self._asked:.0f} s")
        elif self._to_stop():
            self._watch.look(now=True)
            if not self._watch.training:
                raise _GaveUp
            self._asked = time.monotonic()
            self._log.info(
                "stopping after a checkpoint, which may take %g s; once more ends it at once", PATIENCE
            )
            try:
                request_stop(self._store, self._command)
            except StorageError as error:
                self._give_up(f"the worker cannot be asked to stop: {error}")

    def _give_up(self, why: str) -> NoReturn:
        self._log.warning("%s; the work since its last checkpoint is done again", why)
        raise _GaveUp
