"""Task runs that ended without the Prefect server's knowledge: whoever waited for them tells it.

A task run's states are reported by the process that runs it. One that was killed (by a signal, for want of memory, with
its node) has no last word, and the server would show its run as running for ever.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, StateType, TaskRun
from prefect.context import FlowRunContext
from prefect.states import State

if TYPE_CHECKING:
    Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

_LOOKS_EVERY = 2.0  # seconds
_SETTLES = 10.0  # seconds; what the server has heard it writes down every five
_LAST_LOOK = 5.0  # seconds that one under way may still take in the end
_PAGE = 200  # runs; the server gives no more at a time

Ended = Callable[[UUID, State[Any]], None]


@contextlib.contextmanager
def closing(log: Log) -> Iterator[Ended]:
    """A function to be told the final state of every task run of this flow's run; it never waits.

    Runs that crashed or were given up (cancelled) are closed on the server with that state, if it shows them. Once a
    run has crashed, leaving takes up to ten seconds, until the server has written what it heard of the dead; by then
    also a run that had ended well has that end, even where its own report of it was lost with its process. A run that
    the server does not know needs no end. A server that is away is asked again, and then left alone.

    Args:
        log: told when the server does not answer.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield lambda run, state: None  # a run of no flow
        return
    ends = _Ends(context.flow_run.id, log)
    left = threading.Event()
    thread = threading.Thread(
        target=contextvars.copy_context().run,  # the settings that lead to the server are the flow's
        args=(_keep_closing, ends, left),
        name="task-run-closing",
        daemon=True,
    )
    thread.start()
    try:
        yield ends.add
    finally:
        left.set()
        thread.join(_SETTLES + _LAST_LOOK)


@dataclass
class _Ends:
    """Of the task runs of a flow's run.

    Attributes:
        states: the final ones, by run.
        unreported: when this process heard of an end that the server may not have, by run; those closed are not in it.
    """

    flow_run: UUID
    log: Log
    states: dict[UUID, State[Any]] = field(default_factory=dict)
    unreported: dict[UUID, float] = field(default_factory=dict)
    away: bool = False

    def add(self, run: UUID, state: State[Any]) -> None:
        self.states[run] = state
        if state.is_crashed() or state.is_cancelled():
            self.unreported[run] = time.monotonic()

    def may_come(self) -> bool:
        """Whether the server may yet show a run as open that is closed then."""
        now = time.monotonic()
        return any(now - heard < _SETTLES for heard in list(self.unreported.values()))

    def close(self, all_of_them: bool = False) -> bool:
        """Close the runs that are open on the server and unreported, or all that are over; whether any are left."""
        try:
            with get_client(sync_client=True) as client:
                open_runs = [run for run in _open_runs(client, self.flow_run) if run.id in self.states]
                left = False
                for run in open_runs:
                    if all_of_them or run.id in self.unreported:
                        _close(client, run, self.states[run.id])
                        self.unreported.pop(run.id, None)
                    else:
                        left = True
        except Exception as error:  # whatever is wrong with the server, it is no reason to end the flow
            if not self.away:
                self.log.warning("the Prefect server does not answer (%s): ends of tasks wait", error)
            self.away = True
            return True
        self.away = False
        return left


def _keep_closing(ends: _Ends, left: threading.Event) -> None:
    while not left.wait(_LOOKS_EVERY):
        if ends.may_come():
            ends.close()
    states = list(ends.states.values())
    if not any(state.is_crashed() for state in states):
        if ends.unreported:
            ends.close()  # what was given up still runs and may have more to say: nothing to wait for
        return
    until = time.monotonic() + _SETTLES
    while time.monotonic() < until:
        if not ends.close() and not ends.may_come():
            return
        time.sleep(_LOOKS_EVERY / 2)
    if ends.close(all_of_them=True):
        ends.log.warning("the Prefect server may show tasks as running that are over")


def _open_runs(client: SyncPrefectClient, flow_run: UUID) -> list[TaskRun]:
    """The task runs that the server shows as not over."""
    kinds = [kind for kind in StateType if kind not in TERMINAL_STATES]
    found: list[TaskRun] = []
    while True:
        page = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=kinds))),
            limit=_PAGE,
            offset=len(found),
        )
        found += page
        if len(page) < _PAGE:
            return found


def _close(client: SyncPrefectClient, run: TaskRun, state: State[Any]) -> None:
    # without the data: an exception, or a result that is in this process only
    client.set_task_run_state(
        run.id, State(type=state.type, name=state.name, message=state.message), force=True
    )
