"""Reports the end of task runs whose process could not report it to the Prefect server.

The states of a task run are reported by the process that runs it. A process that is killed (by a signal, for lack of
memory, or with its node) reports nothing, and the server would show its run as running for ever. So the flow's process,
which waits for the task, reports the end instead.
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

# Seconds between two requests to the server.
_INTERVAL = 2.0
# Seconds until the server has stored what was reported to it; it does so every five seconds.
_SETTLES = 10.0
# Seconds that a request in flight may still take when the flow ends.
_LAST_REQUEST = 5.0
# Runs in one answer of the server: its maximum.
_PAGE = 200

Ended = Callable[[UUID, State[Any]], None]


@contextlib.contextmanager
def closing(log: Log) -> Iterator[Ended]:
    """Close task runs of this flow run on the server if it still shows them as open after they have ended.

    Runs that crashed or were given up (cancelled) are closed with that state. If a run has crashed, leaving the context
    takes up to ten seconds, until the server has stored what the dead process had reported. Then a run that succeeded,
    but whose report was lost with its process, is closed too. A run that the server does not know needs no end. A
    server that does not answer is asked again, and finally given up.

    Args:
        log: receives a warning when the server does not answer.

    Yields:
        A function that takes the final state of each task run. It never blocks.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        # Outside a flow run there is nothing to close.
        yield lambda run, state: None
        return
    ends = _Ends(context.flow_run.id, log)
    left = threading.Event()
    thread = threading.Thread(
        # The server's address is in the flow's context.
        target=contextvars.copy_context().run,
        args=(_keep_closing, ends, left),
        name="task-run-closing",
        daemon=True,
    )
    thread.start()
    try:
        yield ends.add
    finally:
        left.set()
        thread.join(_SETTLES + _LAST_REQUEST)


@dataclass
class _Ends:
    """The ends of a flow run's task runs.

    Attributes:
        states: the final state of each run.
        unreported: the runs whose end the server may not know, with the time at which this process learned of it. Runs
            that were closed here are removed.
        unreachable: whether the last request got no answer.
    """

    flow_run: UUID
    log: Log
    states: dict[UUID, State[Any]] = field(default_factory=dict)
    unreported: dict[UUID, float] = field(default_factory=dict)
    unreachable: bool = False

    def add(self, run: UUID, state: State[Any]) -> None:
        self.states[run] = state
        if state.is_crashed() or state.is_cancelled():
            self.unreported[run] = time.monotonic()

    def may_come(self) -> bool:
        """Whether the server may still show a run as open, because what it received is not stored yet."""
        now = time.monotonic()
        return any(now - heard < _SETTLES for heard in list(self.unreported.values()))

    def close(self, all_of_them: bool = False) -> bool:
        """Close unreported runs that are open on the server, or all that have ended. Returns whether any are left."""
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
        except Exception as error:
            # The flow continues without its server, whatever is wrong with it.
            if not self.unreachable:
                self.log.warning(
                    "the Prefect server does not answer (%s): ends of tasks are reported later", error
                )
            self.unreachable = True
            return True
        self.unreachable = False
        return left


def _keep_closing(ends: _Ends, left: threading.Event) -> None:
    while not left.wait(_INTERVAL):
        if ends.may_come():
            ends.close()
    states = list(ends.states.values())
    if not any(state.is_crashed() for state in states):
        if ends.unreported:
            # Tasks that were given up still run and report for themselves, so there is nothing to wait for.
            ends.close()
        return
    until = time.monotonic() + _SETTLES
    while time.monotonic() < until:
        if not ends.close() and not ends.may_come():
            return
        time.sleep(_INTERVAL / 2)
    if ends.close(all_of_them=True):
        ends.log.warning("the Prefect server may show tasks as running that are over")


def _open_runs(client: SyncPrefectClient, flow_run: UUID) -> list[TaskRun]:
    """The task runs that the server shows as not ended."""
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
    # Without the data, which is an exception or a result that only this process has.
    client.set_task_run_state(
        run.id, State(type=state.type, name=state.name, message=state.message), force=True
    )
