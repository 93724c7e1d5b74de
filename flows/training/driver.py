"""The driver's part of a training: run it on Ray as one task, show its progress, and stop it after a checkpoint."""

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
from flows.runtime import reporting
from flows.runtime.cancelling import RunCancelled, cancel_requests
from flows.runtime.cluster import capacity, nodes, tasks
from flows.runtime.running import cause_of, retries_if
from flows.settings.training import RunSettings
from flows.storage import StorageError, Store
from flows.training.kinds import Kind, Prepared
from flows.training.stopping import deferred, new_command, request_stop
from flows.training.watch import Watch

# After a stop request, the worker may take this many seconds for its current step and a checkpoint: without any
# progress, and in total.
SILENT, PATIENCE = 60.0, 300.0
RESUMES = "the same command resumes from the last checkpoint"


def may_retry(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """A training task's retry condition: a failure of the storage may pass, a mistake or a bug does not."""
    return isinstance(state.data, StorageError | OSError)


RETRIES = retries_if(may_retry)


def run_on_ray(
    task: Task[..., Any], kind: Kind, prepared: Prepared, log: reporting.Log
) -> dict[str, Any] | State[Any]:
    """Run the task that trains, unless the run has finished before, and show its progress and result.

    Args:
        task: calls ``kind.trial`` with ``settings`` and ``command``.
        kind: of the training.
        prepared: the run, checked.
        log: of the flow run.

    Returns:
        The result, or a failed state with one line.

    Raises:
        UserError: as :func:`drive`.
    """
    for what, value in kind.describe(prepared).items():
        log.info("%s: %s", what, value)
    started = time.monotonic()
    outcome: dict[str, Any] | State[Any]
    if prepared.finished is None:
        outcome = drive(task, prepared.settings, prepared.store, log)
    else:
        outcome = prepared.finished
        log.info("%s holds this run, and it has finished", prepared.store.url)
    if not isinstance(outcome, dict):
        return outcome
    seconds = 0.0 if prepared.finished else time.monotonic() - started
    result = kind.result(prepared, outcome, seconds)
    title = f"Result, {prepared.settings.destination}"
    reporting.table(f"{kind.name}-result", kind.result_rows(result), title)
    return result


def drive(
    task: Task[..., Any], settings: RunSettings, store: Store, log: reporting.Log
) -> dict[str, Any] | State[Any]:
    """Run the task on Ray, show what it writes into its run's folder, and wait for its end.

    Args:
        task: takes ``settings`` and ``command``, this call's random id. Returns a mapping with ``ended`` ("finished" or
            "stopped"), ``step`` …
        settings: of the run.
        store: the run's folder, with the worker's ``progress.json``, curves and grids.
        log: of the flow run.

    Returns:
        What the task returned if the training finished, or else a failed state with one line.

    Raises:
        UserError: no node has the resources, a node cannot read a path, or the worker refused.
        RunCancelled: the run was cancelled on the server, whether or not the worker stopped in time.
    """
    cpus = settings.cpus or capacity.largest_node(settings.gpus)
    capacity.require(cpus, settings.gpus, settings.node_timeout, log)
    nodes.require_reachable(
        {"--dataset": settings.dataset, "--bundle": getattr(settings, "bundle", None)}, settings.destination
    )
    command = new_command()
    watch = Watch(store, task.name, log, command)
    call = {"settings": settings.model_copy(update={"cpus": cpus}), "command": command}
    try:
        with (
            cancel_requests(log) as cancelled,
            # A SIGTERM inside Ray's wait would become a SystemError. In a run that is cancelled it comes from Prefect's
            # worker, and its usual effect would end the run as crashed.
            deferred(signal.SIGINT, signal.SIGTERM, unless=cancelled) as arrived,
        ):
            on_wait = _Supervisor(
                watch, store, command, lambda: bool(cancelled(signal.SIGTERM in arrived) or arrived), log
            )
            running = tasks.run_tasks(
                task,
                [call],
                cpus=cpus,
                gpus=settings.gpus,
                node_timeout=settings.node_timeout,
                on_wait=on_wait,
            )
            with contextlib.closing(running) as ended:
                _, state = next(ended)
    except _GaveUp as ending:
        if why := cancelled():
            raise RunCancelled(f"{why}; {RESUMES}") from ending
        raise
    watch.end()
    if not state.is_completed():
        return _failed(state)
    outcome: dict[str, Any] = state.result()
    if outcome["ended"] == "finished":
        return outcome
    stopped = f"stopped after step {outcome['step']:,}; {RESUMES}"
    if why := cancelled():
        raise RunCancelled(f"{why}; {stopped}")
    return Failed(message=stopped)


def _failed(state: State[Any]) -> State[Any]:
    """The flow's final state if the task failed.

    Raises:
        UserError: the task refused.
    """
    cause = cause_of(state)
    if isinstance(cause, UserError):
        raise cause
    if isinstance(cause, Diverged):
        return Failed(message=str(cause))
    return Failed(message=f"{state.message}; {RESUMES}")


class _GaveUp(Exception):
    """The worker did not stop in time, or it had not begun to train, so that nothing is lost."""


class _Supervisor:
    """Called while the task runs: shows the progress, and asks the worker to stop once there is a reason."""

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
                "stopping after a checkpoint, which may take %g s; press Ctrl-C again to stop at once",
                PATIENCE,
            )
            try:
                request_stop(self._store, self._command)
            except StorageError as error:
                self._give_up(f"the worker cannot be asked to stop: {error}")

    def _give_up(self, why: str) -> NoReturn:
        self._log.warning("%s; the steps since the last checkpoint will be repeated", why)
        raise _GaveUp
