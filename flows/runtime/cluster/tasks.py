"""The tasks of a flow on the Ray cluster: submitted through a window, retried when their process or node dies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from prefect import State, get_run_logger
from prefect.states import Cancelled, Crashed
from prefect_ray import RayTaskRunner

from attgan.errors import UserError
from flows.runtime import cancelling, task_runs
from flows.runtime.cluster import capacity, connection, nodes
from flows.runtime.cluster.watch import cluster_watch
from flows.runtime.internals import serialised_once

# The most submissions that are pending at a time, however large the cluster is.
WINDOW = 1000
# How often a task is submitted again after its node was taken away.
_NODES_LOST = 3
# Seconds that one wait for finished tasks takes at most.
WAIT = 0.5
_DEATHS = {
    "WorkerCrashedError": "its process died",
    "OutOfMemoryError": "its node ran out of memory and Ray ended its process",
    "NodeDiedError": "its node died",
}

Call = dict[str, Any]
"""The keyword arguments of a task."""


class _Runner(RayTaskRunner[Any]):
    """Uses this process's one connection, and makes it first in a process of a deployment."""

    def __enter__(self) -> Self:
        connection.connect_ray()
        return super().__enter__()

    @staticmethod
    def _run_prefect_task(*references: Any, **arguments: Any) -> Any:
        """Called in the worker. Ray has no way to keep tasks from a node that has joined until it has been checked."""
        nodes.require_fit()
        return RayTaskRunner._run_prefect_task(*references, **arguments)


def task_runner() -> RayTaskRunner[Any]:
    """The task runner of every flow. Logs of workers go to the UI and not to the terminal."""
    return _Runner(init_kwargs={"log_to_driver": False})


def start_worker(function: Callable[..., None], *args: Any, cpus: float, gpus: float) -> None:
    """Start one more worker, which calls a function, without waiting for it.

    The first task of a worker waits seconds for the process and its imports. Workers that are started early do this
    while the flow still prepares its tasks.

    Args:
        function: of an importable module. It must not raise, because nobody reads its result.
        args: its arguments.
        cpus: the CPUs that the coming tasks ask for.
        gpus: the GPUs that they ask for.
    """
    import ray

    ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=0, max_retries=0)(function).remote(*args)


def run_tasks(
    task: Any,
    calls: Iterable[Call | None],
    *,
    cpus: float,
    gpus: float,
    node_timeout: str,
    most: int = WINDOW,
    ahead: int = 2,
    restarts: int = 1,
    on_wait: Callable[[], None] | None = None,
    fallback: Callable[[Call, State[Any]], Any] | None = None,
) -> Generator[tuple[Call, State[Any]], None, None]:
    """Submit a Prefect task to Ray once per call, and yield each one as it ends.

    At most ``ahead`` times as many submissions are pending as the cluster may run at a time, because tens of thousands
    hang Ray's driver. Nodes that the autoscaler may still add count: what is pending makes it add them. Nodes that join
    in another way count from then on. A task whose node is taken away is submitted again.
    A GPU worker keeps its process and the loaded model after a task (``max_calls=0``). Ray restarts a task whose
    process dies. A task that dies once too often, or is still pending at the end, cannot report that to the Prefect
    server, so this function does (:mod:`flows.runtime.task_runs`).

    Close the generator if you stop early. Pending tasks then end with this process. They are not cancelled, because
    ``ray.cancel`` sometimes aborts the whole driver if the task ends at the same moment (Ray 2.60).

    Args:
        task: the Prefect task.
        calls: the keyword arguments of each call, read lazily; None where the next call has to wait. Then it is asked
            for again within half a second.
        cpus: the CPUs that each task asks for.
        gpus: the GPUs that each task asks for.
        node_timeout: the longest duration, such as ``10m``, in which no node can run such a task, before this function
            gives up.
        most: the most submissions that are pending.
        ahead: how many submissions are pending for each task that the cluster may run at a time.
        restarts: how often a task is restarted after its process died.
        on_wait: called at least twice a second; an exception from it ends this function. By default it raises when the
            run is cancelled on the Prefect server.
        fallback: receives a call and its final state, and returns the task that is to run this call again, or None. It
            is asked once for each call. If it returns a task, the outcome of that task is yielded.

    Yields:
        The call and the final Prefect state of its task run, in the order in which they end. If the process died, the
        state is crashed, with one line that says why.

    Raises:
        RunCancelled: the flow run was cancelled on the server.
        ClusterLost: another cluster now answers at this address.
        UserError: no node could run such a task for ``node_timeout``; or a node that has joined is unfit.
    """
    log = get_run_logger()
    with contextlib.ExitStack() as stack:
        reach = capacity.watch(cpus, gpus, node_timeout, log)
        checks: list[Callable[[], object]] = [
            on_wait or stack.enter_context(cancelling.ended_by_cancelling(log)),
            stack.enter_context(cluster_watch()),
            reach,
        ]

        def check() -> None:
            for one in checks:
                one()

        report_end = stack.enter_context(task_runs.closing(log))

        def window() -> int:
            return min(ahead * max(1, reach()), most, WINDOW)

        options = {"num_cpus": cpus, "num_gpus": gpus, "max_calls": 0, "max_retries": restarts}
        yield from _run_tasks(task, calls, options, window, check, fallback, report_end)


@dataclass(frozen=True)
class _Pending:
    """A submission: whether it is a second one for its call, and how often its node was taken away before."""

    task: Any
    call: Call
    future: Any
    again: bool
    lost: int


def _run_tasks(
    task: Any,
    calls: Iterable[Call | None],
    options: dict[str, Any],
    window: Callable[[], int],
    on_wait: Callable[[], None],
    fallback: Callable[[Call, State[Any]], Any] | None,
    report_end: task_runs.Ended,
) -> Iterator[tuple[Call, State[Any]]]:
    import ray
    from prefect_ray.context import remote_options

    log = get_run_logger()
    pending: dict[Any, _Pending] = {}
    todo = iter(calls)
    exhausted = False

    settings = serialised_once()

    def submit(chosen: Any, call: Call, *, again: bool = False, lost: int = 0) -> None:
        with remote_options(**options), settings:
            future = chosen.submit(**call)
        pending[future.wrapped_future] = _Pending(chosen, call, future, again, lost)

    try:
        while True:
            while not exhausted and len(pending) < window():
                try:
                    call = next(todo)
                except StopIteration:
                    exhausted = True
                    break
                if call is None:
                    break
                submit(task, call)
            if not pending and exhausted:
                return
            on_wait()
            if not pending:
                time.sleep(WAIT)
                continue
            try:
                done, _ = ray.wait(list(pending), num_returns=1, timeout=WAIT)
            except SystemError as error:
                # A signal handler's exception that was raised inside Ray's compiled code arrives wrapped in this one.
                raise error.__cause__ or error from None
            for reference in done:
                one = pending.pop(reference)
                state = _final_state(one.future, options["max_retries"])
                report_end(one.future.task_run_id, state)
                if isinstance(state.data, ray.exceptions.NodeDiedError) and one.lost < _NODES_LOST:
                    log.warning("%s: its node was taken away; it starts again", one.task.name)
                    submit(one.task, one.call, again=one.again, lost=one.lost + 1)
                    continue
                retry = fallback(one.call, state) if fallback is not None and not one.again else None
                if retry is None:
                    yield one.call, state
                else:
                    submit(retry, one.call, again=True)
    finally:
        for one in pending.values():
            report_end(
                one.future.task_run_id, Cancelled(message="the flow stopped before this task had ended")
            )


def _final_state(future: Any, restarts: int) -> State[Any]:
    """The final state of a task run. If Ray gave it up, the message is one line that says why.

    Raises:
        UserError: its node is unfit for our tasks (:func:`flows.runtime.cluster.nodes.require_fit`).
    """
    # Unlike the future's result(), this turns an exception from Ray into a state.
    future.wait()
    state: State[Any] = future.state
    if isinstance(refusal := getattr(state.data, "cause", None), UserError):
        # The worker's node is unfit.
        raise refusal
    if not (state.is_crashed() and isinstance(state.data, BaseException)):
        return state
    name = type(state.data).__name__
    why = _DEATHS.get(name) or connection.first_sentence(state.data)
    if name in _DEATHS and restarts:
        why += ", also at a second attempt" if restarts == 1 else f", also at {restarts} further attempts"
    return Crashed(message=f"{why} ({name})", data=state.data)
