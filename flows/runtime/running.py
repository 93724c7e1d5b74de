"""Starts flows, and turns refusals into states: a run that is refused ends in one line, without a traceback."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

from prefect import Flow, State, Task, runtime
from prefect.client.schemas.objects import TaskRun
from prefect.exceptions import MissingResult
from prefect.states import Cancelled, Failed

from attgan.errors import CapReached, UserError
from flows.runtime.cancelling import RunCancelled, say_how_to_cancel
from flows.runtime.cluster import connection
from flows.runtime.cluster.watch import ClusterLost

REFUSED = "Refused"
STOPPED = "Stopped"

P = ParamSpec("P")
R = TypeVar("R")


class Unfinished(Exception):
    """A flow, or a step that it needs, did not complete. The message is one line for the user."""


def refusals_as_states(body: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Decorate a flow's body so that these exceptions become the state in which its run ends.

    :class:`UserError` becomes a state named ``Refused``: a failed one in a run of a deployment, which somebody has to
    correct, and a cancelled one in a run from a terminal, whose user reads the line there.
    :class:`attgan.errors.CapReached` becomes a cancelled state named ``Stopped``.
    :class:`flows.runtime.cancelling.RunCancelled` and Ctrl-C become a cancelled state; :class:`Unfinished` and
    :class:`flows.runtime.cluster.watch.ClusterLost` a failed one. The message of the state is the message of the
    exception.
    """

    @functools.wraps(body)
    def refusing(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        say_how_to_cancel()
        try:
            return body(*args, **kwargs)
        except CapReached as reached:
            return Cancelled(name=STOPPED, message=str(reached))
        except UserError as error:
            refused = Failed if runtime.deployment.id else Cancelled
            return refused(name=REFUSED, message=str(error))
        except RunCancelled as cancelled:
            return Cancelled(message=str(cancelled))
        except KeyboardInterrupt:
            # To Prefect it would be a crash, as if the process had died.
            return Cancelled(message="interrupted with Ctrl-C")
        except (Unfinished, ClusterLost) as why:
            return Failed(message=str(why))

    # Prefect resolves the annotations as names of the module that defines the function, which for a wrapper is this
    # one. So they are resolved here, where ``body`` still has its own module.
    refusing.__annotations__ = get_type_hints(body)
    refusing.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined]
    return refusing


def refusal_in(message: str | None) -> UserError:
    """The refusal that a run has ended with, read from its state's message."""
    found = re.fullmatch(r"\[([a-z0-9-]+)\] (.*)", message or "", re.DOTALL)
    return UserError(found[1], found[2]) if found else UserError("run-refused", message or REFUSED)


def is_retryable(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """The retry condition of tasks: another attempt may help, except after a user's mistake."""
    return not isinstance(state.data, UserError)


def retries_if(condition: Callable[[Task[..., Any], TaskRun, State[Any]], bool]) -> dict[str, Any]:
    """The options of a task that is retried twice, after 5 and after 120 seconds, where the condition holds.

    This outlasts a storage that is away for two minutes, such as a server that is restarted: a request gives up after
    five to twenty seconds.
    """
    return {"retries": 2, "retry_delay_seconds": [5, 120], "retry_condition_fn": condition}


def cause_of(state: State[Any]) -> Any:
    """The exception that a task run ended with; None where there is none, as after a crash."""
    try:
        return state.result(raise_on_failure=False)
    except MissingResult:
        return None


def _raise_if_stopped(state: State[Any]) -> None:
    if state.name == REFUSED:
        raise refusal_in(state.message)
    if state.name == STOPPED:
        raise CapReached(*refusal_in(state.message).args)
    if state.is_cancelled():
        raise RunCancelled(state.message or "cancelled")


def run_subflow(flow: Flow[..., Any], settings: Any) -> dict[str, Any]:
    """Run a flow as a subflow of the current one, and return its result.

    Raises:
        UserError: it was refused, or a cap of the user's ended it.
        RunCancelled: it or one of its parents was cancelled.
        Unfinished: it failed or was stopped.
    """
    state: Any = flow(settings=settings, return_state=True)
    _raise_if_stopped(state)
    if not state.is_completed():
        raise Unfinished(state.message or f"{flow.name} failed")
    result: dict[str, Any] = state.result()
    return result


def run_from_terminal(flow: Flow[..., Any], **parameters: Any) -> Any:
    """Run a flow in this process, on the cluster that the environment names, and return its result.

    Raises:
        UserError: no Prefect server or Ray cluster is available, or the flow was refused, or a cap of the
            user's ended it.
        RunCancelled: the run was cancelled on the server.
    """
    connection.require_prefect()
    connection.connect_ray()
    state: Any = flow(**parameters, return_state=True)
    _raise_if_stopped(state)
    return state.result()
