"""The Prefect server and the Ray cluster that a flow runs on: connecting, and submitting tasks.

Their addresses are in the environment: ``PREFECT_API_URL`` and ``RAY_ADDRESS``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from prefect import State, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus
from prefect.states import Cancelled, Crashed
from prefect_ray import RayTaskRunner

from attgan.errors import UserError
from flows.runtime import cancelling, capacity, nodes, task_runs
from flows.runtime.cluster_watch import cluster_watch
from flows.runtime.local_stack import shares_s3
from flows.runtime.ray_token import require_token

# The most submissions that are pending at a time, however large the cluster is.
WINDOW = 1000
# How often a task is submitted again after its node was taken away.
_NODES_LOST = 3
# Seconds that one wait for finished tasks takes at most.
WAIT = 0.5
_HINT = "`attgan up` starts one here"
_DEATHS = {
    "WorkerCrashedError": "its process died",
    "OutOfMemoryError": "its node ran out of memory and Ray ended its process",
    "NodeDiedError": "its node died",
}

Call = dict[str, Any]
"""The keyword arguments of a task."""


def require_prefect() -> str:
    """The URL of the Prefect server, after it has answered a request.

    A server is required: without one, every Ray worker would start a server of its own.

    Raises:
        UserError: no server is set, it does not answer, or it is older than this process's Prefect.
    """
    from prefect.client.base import ServerType
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        raise UserError("prefect-not-set", f"PREFECT_API_URL is not set: a Prefect server is needed; {_HINT}")
    # Prefect's own client: it has the TLS settings, headers and keys that flows use.
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
        if problem is None and client.server_type is not ServerType.CLOUD:
            _refuse_older_server(str(url), client.api_version(), client.client_version())
    if problem is not None:
        why = _first_sentence(problem)
        raise UserError(
            "prefect-unreachable", f"PREFECT_API_URL {url}: no Prefect server answers there ({why}); {_HINT}"
        ) from problem
    return str(url)


def _refuse_older_server(url: str, server: str, client: str) -> None:
    def release(version: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", version)[:3]]

    if release(server) < release(client):
        raise UserError(
            "prefect-server-older",
            f"PREFECT_API_URL {url}: the server has Prefect {server}, older than the {client} here; upgrade the server",
        )


def online_workers(client: SyncPrefectClient, pool: str) -> int:
    """How many workers serve a work pool of the Prefect server."""
    online = WorkerFilter(status=WorkerFilterStatus(any_=["ONLINE"]))
    return len(client.read_workers_for_work_pool(pool, worker_filter=online))


def require_ray_address() -> str:
    """The address of the Ray cluster, from the environment.

    Without an address, Ray would silently start a cluster of its own.

    Raises:
        UserError: it is not set, or is one of Ray Client (``ray://``).
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        raise UserError("ray-not-set", f"RAY_ADDRESS is not set: a Ray cluster is needed; {_HINT}")
    if address.startswith("ray://"):
        raise UserError(
            "ray-client-address",
            f"RAY_ADDRESS {address}: run the flow inside the cluster (host:port), not over ray://",
        )
    return address


def connect_ray() -> None:
    """Connect this process to the cluster, once for all its flows.

    RayTaskRunner would connect anew for each flow, and workers would start cold each time. To a cluster other than the
    local stack's, our packages are uploaded, and its nodes are checked. Workers of the local stack receive this
    process's S3 settings and credentials if those differ from the stack's (:mod:`flows.storage.s3.handover`).

    Raises:
        UserError: no cluster is set, none answers, it refuses this process (token or version), or one of its nodes
            cannot run our tasks (:func:`flows.runtime.nodes.check_nodes`).
    """
    import ray

    # Workers also come here, through their flow's task runner, and they are always connected.
    if ray.is_initialized():
        return
    address = require_ray_address()
    elsewhere = not nodes.shares_code(address)
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        # Without this test, Ray would retry for minutes.
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise UserError(
                "ray-unreachable", f"RAY_ADDRESS {address}: no Ray cluster answers there ({error}); {_HINT}"
            ) from error
        require_token(address)
    # Join with one attempt of 30 s; Ray's default is twenty, without output.
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    # Retry a task that ran out of memory once; Ray's default is for ever.
    os.environ.setdefault("RAY_task_oom_retries", "1")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            namespace="prefect",
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env=nodes.runtime_env() if elsewhere else _s3_of_this_process(),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if _is_no_node(error):
            raise UserError(
                "driver-outside-cluster",
                f"RAY_ADDRESS {address}: this machine is no node of that cluster, and flows run on one; run the "
                "command in a shell of the head, or as a deployment, with a Prefect worker on the head",
            ) from error
        raise UserError(
            "ray-join-failed", f"RAY_ADDRESS {address}: cannot be joined ({_first_sentence(error)}); {_HINT}"
        ) from error
    if callable(handler) and threading.current_thread() is threading.main_thread():
        # ray.init has replaced Prefect's handler, which is how a cancelled flow run learns that it is cancelled.
        signal.signal(signal.SIGTERM, handler)
    if elsewhere:
        try:
            nodes.check_nodes()
        except UserError:
            # So that the next flow of this process checks the nodes again.
            ray.shutdown()
            raise


def _is_no_node(error: BaseException) -> bool:
    """Whether Ray found the cluster, but no process of it on this machine. It has no exception of its own for that."""
    said = f"{error} {error.__cause__}"
    return "No node info found" in said or "Raylet addresses" in said


def _s3_of_this_process() -> dict[str, Any] | None:
    """The Ray runtime environment in which workers ask this process for its S3 credentials.

    None where the workers have the same ones: with a runtime environment a worker starts one or two seconds later.
    """
    if shares_s3():
        return None
    from flows.storage.s3 import handover

    return {"env_vars": {handover.SOCKET: handover.serve()}}


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split(". ")[0].split()) or type(error).__name__


class _Runner(RayTaskRunner[Any]):
    """Uses this process's one connection, and makes it first in a process of a deployment."""

    def __enter__(self) -> Self:
        connect_ray()
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
    calls: Iterable[Call],
    *,
    cpus: float,
    gpus: float,
    node_timeout: float,
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
        calls: the keyword arguments of each call, read lazily.
        cpus: the CPUs that each task asks for.
        gpus: the GPUs that each task asks for.
        node_timeout: the most minutes in which no node can run such a task, before this function gives up.
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
        UserError: no node could run such a task for ``node_timeout`` minutes; or a node that has joined is unfit.
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
    calls: Iterable[Call],
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

    def submit(chosen: Any, call: Call, *, again: bool = False, lost: int = 0) -> None:
        with remote_options(**options):
            future = chosen.submit(**call)
        pending[future.wrapped_future] = _Pending(chosen, call, future, again, lost)

    try:
        while True:
            while not exhausted and len(pending) < window():
                call = next(todo, None)
                if call is None:
                    exhausted = True
                    break
                submit(task, call)
            if not pending:
                return
            on_wait()
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
        UserError: its node is unfit for our tasks (:func:`flows.runtime.nodes.require_fit`).
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
    why = _DEATHS.get(name) or _first_sentence(state.data)
    if name in _DEATHS and restarts:
        why += ", also at a second attempt" if restarts == 1 else f", also at {restarts} further attempts"
    return Crashed(message=f"{why} ({name})", data=state.data)
