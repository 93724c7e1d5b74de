"""Notices that a flow run was cancelled on the Prefect server, for example in its UI.

The server only records the state. For a run of a deployment, the worker also sends the process a SIGTERM. A run that
was started from a terminal receives no signal, so its process has to ask the server.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL

if TYPE_CHECKING:
    Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

RESUMES = "the same command resumes where it stopped"
# Seconds between two requests to the server.
_INTERVAL = 2.0
# Seconds within which a cancellation is known here, too, once the worker has sent its SIGTERM.
_AFTER_SIGTERM = 5.0
# Seconds that a request in flight may still take when the flow ends.
_LAST_REQUEST = 5.0


class RunCancelled(Exception):
    """Ends a flow's run as cancelled, with this line."""


def say_how_to_cancel() -> None:
    """Log how this run can be cancelled if the UI cannot do it: its button is only active for runs of deployments."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is not None and run.deployment_id is None and run.parent_task_run_id is None:
        get_run_logger().info("to stop this run: Ctrl-C, or in another terminal: %s", how_to_cancel(run.id))


def how_to_cancel(run: UUID) -> str:
    """The command that cancels a flow run, as it works in any folder, without any variable."""
    program = Path(sys.executable).with_name("prefect")
    return f"PREFECT_API_URL={PREFECT_API_URL.value()} {program} flow-run cancel {run}"


@contextlib.contextmanager
def cancel_requests(log: Log) -> Iterator[Callable[..., str | None]]:
    """Watch, in a thread, whether this flow run or one of its parent runs is cancelled.

    A server that does not answer is asked again. Outside a flow run nothing can be cancelled.

    Args:
        log: receives a warning when the server does not answer.

    Yields:
        A function that returns the reason to stop, or None. A cancellation is seen within about two seconds. With
        ``terminated``, a SIGTERM has arrived, which may be the worker's: then it waits five seconds at most to know.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield lambda terminated=False: None
        return
    reason: Future[str] = Future()
    ended = threading.Event()
    polling = threading.Thread(
        # The server's address is in the flow's context.
        target=contextvars.copy_context().run,
        args=(_poll, context.flow_run.id, reason, ended, log),
        name="cancel-requests",
        daemon=True,
    )
    polling.start()

    def cancelled(terminated: bool = False) -> str | None:
        with contextlib.suppress(TimeoutError):
            return reason.result(_AFTER_SIGTERM if terminated else 0.0)
        return None

    try:
        yield cancelled
    finally:
        ended.set()
        polling.join(_LAST_REQUEST)


@contextlib.contextmanager
def ended_by_cancelling(log: Log) -> Iterator[Callable[[], None]]:
    """A function that raises :class:`RunCancelled` once this flow run is cancelled on the server. It never blocks."""
    with cancel_requests(log) as cancelled:

        def check() -> None:
            if why := cancelled():
                raise RunCancelled(f"{why}; {RESUMES}")

        yield check


def _poll(run: UUID, reason: Future[str], ended: threading.Event, log: Log) -> None:
    unreachable = False
    while not ended.wait(_INTERVAL):
        try:
            with get_client(sync_client=True) as client:
                name = _cancelled(client, run)
        except Exception as error:
            # The flow continues without its server, whatever is wrong with it.
            if not unreachable:
                log.warning("the Prefect server does not answer (%s): a cancellation is not seen", error)
            unreachable = True
            continue
        if unreachable:
            log.info("the Prefect server answers again")
        unreachable = False
        if name is not None:
            reason.set_result(f"the run {name} was cancelled in Prefect")
            return


def _cancelled(client: SyncPrefectClient, run: UUID) -> str | None:
    """The name of the run that is cancelled: this one or one of its parents. None if there is none."""
    above: UUID | None = run
    while above is not None:
        seen = client.read_flow_run(above)
        if seen.state is not None and (seen.state.is_cancelling() or seen.state.is_cancelled()):
            return f"'{seen.name}'"
        parent = seen.parent_task_run_id
        above = client.read_task_run(parent).flow_run_id if parent else None
    return None
