"""A run that is cancelled on the Prefect server, as its UI does: whoever runs the flow has to look for it.

The server only notes the wish. A deployment's runner also sends its process a SIGTERM, which nobody does for a run that
was started from a terminal.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext

if TYPE_CHECKING:
    Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

GOES_ON = "the same command goes on where it stopped"
_LOOKS_EVERY = 2.0  # seconds
_LAST_LOOK = 5.0  # seconds that one under way may still take in the end


class RunCancelled(Exception):
    """Ends a flow's run as cancelled, with this line."""


@contextlib.contextmanager
def cancel_requests(log: Log) -> Iterator[Callable[[], str | None]]:
    """A function that tells why to stop, once this flow's run or one above it is cancelled; it never waits.

    It is known within two seconds or so, and stays so. A server that is away is asked again; outside a flow's run
    nobody can cancel.

    Args:
        log: told when the server does not answer.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield lambda: None
        return
    found: list[str] = []
    ended = threading.Event()
    looking = threading.Thread(
        target=contextvars.copy_context().run,  # the settings that lead to the server are the flow's
        args=(_look, context.flow_run.id, found, ended, log),
        name="cancel-requests",
        daemon=True,
    )
    looking.start()
    try:
        yield lambda: found[0] if found else None
    finally:
        ended.set()
        looking.join(_LAST_LOOK)


def _look(run: UUID, found: list[str], ended: threading.Event, log: Log) -> None:
    away = False
    while not ended.wait(_LOOKS_EVERY):
        try:
            with get_client(sync_client=True) as client:
                name = _cancelled(client, run)
        except Exception as error:  # the flow goes on without its server, whatever is wrong with it
            if not away:
                log.warning("the Prefect server does not answer (%s): a cancellation is not seen", error)
            away = True
            continue
        if away:
            log.info("the Prefect server answers again")
        away = False
        if name is not None:
            found.append(f"the run {name} was cancelled in Prefect")
            return


def _cancelled(client: SyncPrefectClient, run: UUID) -> str | None:
    """The name of this run or of one above it that is cancelled."""
    above: UUID | None = run
    while above is not None:
        seen = client.read_flow_run(above)
        if seen.state is not None and (seen.state.is_cancelling() or seen.state.is_cancelled()):
            return f"'{seen.name}'"
        parent = seen.parent_task_run_id
        above = client.read_task_run(parent).flow_run_id if parent else None
    return None
