"""How a flow starts from the terminal and how it says no: a refusal is a state with one line, never a traceback."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

from prefect import Flow, State, Task
from prefect.client.schemas.objects import TaskRun
from prefect.exceptions import MissingResult
from prefect.states import Cancelled, Failed

from attgan.errors import UserError
from flows.runtime import cluster
from flows.runtime.cancelling import RunCancelled
from flows.runtime.cluster_watch import ClusterLost

REFUSED = "Refused"

P = ParamSpec("P")
R = TypeVar("R")


class Unfinished(Exception):
    """A flow that another one needs did not end well; the message is the line to end with."""


def refusals_as_states(body: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """A flow's body whose :class:`UserError` ends the run as failed, named ``Refused``, with that line as message.

    Likewise :class:`flows.runtime.cancelling.RunCancelled` ends it as cancelled, and :class:`Unfinished` and
    :class:`flows.runtime.cluster_watch.ClusterLost` as failed.
    """

    @functools.wraps(body)
    def refusing(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return body(*args, **kwargs)
        except UserError as error:
            return Failed(name=REFUSED, message=str(error))
        except RunCancelled as cancelled:
            return Cancelled(message=str(cancelled))
        except (Unfinished, ClusterLost) as why:
            return Failed(message=str(why))

    # Prefect looks the annotations up where the function was defined, which for a wrapper is here.
    refusing.__annotations__ = get_type_hints(body)
    refusing.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined]
    return refusing


def refusal_in(message: str | None) -> UserError:
    """The refusal that a run has ended with, from its state's message: a worker's exception is not sent here."""
    found = re.fullmatch(r"\[([a-z0-9-]+)\] (.*)", message or "", re.DOTALL)
    return UserError(found[1], found[2]) if found else UserError("run-refused", message or REFUSED)


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """A task's retry condition: another attempt can help, unless it was a user's mistake."""
    return not isinstance(state.data, UserError)


def cause_of(state: State[Any]) -> Any:
    """The exception that a task run ended with; None where there is none to be had, as after a crash."""
    try:
        return state.result(raise_on_failure=False)
    except MissingResult:
        return None


def run_below(flow: Flow[..., Any], settings: Any) -> dict[str, Any]:
    """Run a flow below the one that runs here, and return its result.

    Raises:
        UserError: it refused.
        RunCancelled: it was cancelled, or a run above it was.
        Unfinished: it failed or was stopped.
    """
    state: Any = flow(settings=settings, return_state=True)
    if state.name == REFUSED:
        raise refusal_in(state.message)
    if state.is_cancelled():
        raise RunCancelled(state.message or "cancelled")
    if not state.is_completed():
        raise Unfinished(state.message or f"{flow.name} failed")
    result: dict[str, Any] = state.result()
    return result


def run_from_terminal(flow: Flow[..., Any], **parameters: Any) -> Any:
    """Run a flow here, in the cluster that the environment names, and return its result.

    Raises:
        UserError: no Prefect server or Ray cluster is at hand, or the flow refused.
        RunCancelled: its run was cancelled on the server.
    """
    cluster.require_prefect()
    cluster.connect_ray()
    state: Any = flow(**parameters, return_state=True)
    if state.name == REFUSED:
        raise refusal_in(state.message)
    if state.is_cancelled():
        raise RunCancelled(state.message or "cancelled")
    return state.result()
