"""The Prefect server and the Ray cluster a flow runs on: checked before anything is submitted, fed in a window.

Where they are stands in the environment: ``PREFECT_API_URL`` and ``RAY_ADDRESS``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from prefect import State, get_run_logger
from prefect.states import Cancelled, Crashed
from prefect_ray import RayTaskRunner

from attgan.errors import UserError
from flows.runtime import cancelling, nodes, task_runs
from flows.runtime.cluster_watch import cluster_watch
from flows.runtime.local_stack import shares_s3
from flows.runtime.ray_token import require_token

WINDOW = 1000  # pending submissions at most, on however large a cluster
WAIT = 0.5  # seconds between two looks at what runs
_HINT = "`attgan up` starts one here"
_DEATHS = {
    "WorkerCrashedError": "its process died",
    "OutOfMemoryError": "its node ran out of memory and Ray ended its process",
    "NodeDiedError": "its node died",
}

Call = dict[str, Any]
"""The keyword arguments of a task."""


@dataclass(frozen=True)
class Resources:
    """What a Ray cluster has in all."""

    nodes: int
    cpus: float
    gpus: float


def require_prefect() -> str:
    """The URL of the Prefect server, once it has answered.

    Without a server every Ray worker would start one of its own, so that is refused.

    Raises:
        UserError: no server is set, or it does not answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        raise UserError("prefect-not-set", f"PREFECT_API_URL is not set: a Prefect server is needed; {_HINT}")
    # With the TLS settings, headers and keys of the flows' own calls.
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if problem is not None:
        why = _first_sentence(problem)
        raise UserError(
            "prefect-unreachable", f"PREFECT_API_URL {url}: no Prefect server answers there ({why}); {_HINT}"
        ) from problem
    return str(url)


def require_ray_address() -> str:
    """The address of the Ray cluster, as the environment has it (Ray itself would silently start one of its own).

    Raises:
        UserError: it is not set.
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
    """Connect this process to the cluster, once and for all its flows.

    RayTaskRunner would do so for each flow anew, and its workers would start cold every time. A cluster that is not the
    local stack's is sent our packages, and its nodes are asked what else they have. The workers of the local stack take
    this process's S3 settings and credentials where those are not the stack's (:mod:`flows.storage.s3.handover`).

    Raises:
        UserError: no cluster is set, none answers there, it refuses this process (its token, another version), or a
            node of it cannot do this process's work (:func:`flows.runtime.nodes.check_nodes`).
    """
    import ray
    from prefect.settings import PREFECT_API_URL

    if ray.is_initialized():  # a worker always is, and it enters its flow's task runner too
        return
    address = require_ray_address()
    elsewhere = not nodes.shares_code(address)
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():  # Ray itself would try for minutes
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise UserError(
                "ray-unreachable", f"RAY_ADDRESS {address}: no Ray cluster answers there ({error}); {_HINT}"
            ) from error
        require_token(address)
    # One attempt of 30 s to join, not twenty without a word; one more for a task that was out of memory, not endless.
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    os.environ.setdefault("RAY_task_oom_retries", "1")
    ends = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            namespace="prefect",
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env=nodes.runtime_env() if elsewhere else _s3_of_this_process(),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            "ray-join-failed", f"RAY_ADDRESS {address}: cannot be joined ({_first_sentence(error)}); {_HINT}"
        ) from error
    if callable(ends) and threading.current_thread() is threading.main_thread():
        # Ray has put its own in the place of that of a flow at work, by which a cancelled run knows that it is.
        signal.signal(signal.SIGTERM, ends)
    if elsewhere:
        try:
            nodes.check_nodes(PREFECT_API_URL.value())
        except UserError:
            ray.shutdown()  # the next flow of this process asks again
            raise


def _s3_of_this_process() -> dict[str, Any] | None:
    """Ray's description of workers that ask this process for its S3 credentials; None where they have the same ones.

    (A worker that is described starts a second or two later than one that is not.)
    """
    if shares_s3():
        return None
    from flows.storage.s3 import handover

    return {"env_vars": {handover.SOCKET: handover.serve()}}


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split(". ")[0].split()) or type(error).__name__


class _Runner(RayTaskRunner[Any]):
    """Submits through this process's one connection, also where no terminal made it."""

    def __enter__(self) -> Self:
        connect_ray()
        return super().__enter__()


def task_runner() -> RayTaskRunner[Any]:
    """The runner of every flow: the Ray cluster of the environment; workers' logs reach the UI, not the terminal."""
    return _Runner(init_kwargs={"log_to_driver": False})


def require_ray(cpus_per_task: float, gpus_per_task: float) -> Resources:
    """What the connected cluster has, once it is known that it can run such a task at all.

    Raises:
        UserError: no node has that many CPUs or GPUs; Ray would wait for them for ever.
    """
    import ray

    require_ray_address()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    able = [
        node
        for node in nodes
        if node["Resources"].get("CPU", 0) >= cpus_per_task
        and node["Resources"].get("GPU", 0) >= gpus_per_task
    ]
    total = Resources(
        nodes=len(nodes),
        cpus=sum(node["Resources"].get("CPU", 0) for node in nodes),
        gpus=sum(node["Resources"].get("GPU", 0) for node in nodes),
    )
    if not able:
        raise UserError(
            "cluster-too-small",
            f"a task asks for {cpus_per_task:g} CPUs and {gpus_per_task:g} GPUs, but no node has them: the cluster has "
            f"{total.cpus:g} CPUs and {total.gpus:g} GPUs on {total.nodes} node(s)",
        )
    return total


def largest_node(gpus: float) -> float:
    """The CPUs of the connected cluster's largest node that has so many GPUs.

    Raises:
        UserError: no node has them.
    """
    import ray

    require_ray(1, gpus)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return float(max(node.get("CPU", 0) for node in nodes if node.get("GPU", 0) >= gpus))


def workers(resources: Resources, cpus_per_task: float, gpus_per_task: float) -> int:
    """How many such tasks the cluster runs side by side (at least one)."""
    by_cpu = resources.cpus / cpus_per_task
    by_gpu = resources.gpus / gpus_per_task if gpus_per_task else by_cpu
    return max(1, int(min(by_cpu, by_gpu)))


def start_worker(function: Callable[..., None], *args: Any, cpus: float, gpus: float) -> None:
    """Have one more worker started, which calls a function; nobody waits for it.

    A worker's first task waits seconds for its process and what that imports; work that is still being prepared can
    have them started meanwhile.

    Args:
        function: of an importable module, and never raising: nobody would hear of it.
        args: its arguments.
        cpus: what the tasks to come ask Ray for.
        gpus: likewise.
    """
    import ray

    ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=0, max_retries=0)(function).remote(*args)


def run_tasks(
    task: Any,
    calls: Iterable[Call],
    *,
    cpus: float,
    gpus: float,
    parallel: int,
    waiting: Callable[[], None] | None = None,
    instead: Callable[[Call, State[Any]], Any] | None = None,
) -> Generator[tuple[Call, State[Any]], None, None]:
    """Submit a Prefect task to Ray once per call, through a window of twice the workers, and yield as each one ends.

    When you stop early, close it; what is pending ends with this process. (``ray.cancel`` now and then aborts the whole
    driver when a task ends just then: Ray 2.60.) Tens of thousands of pending submissions hang Ray's driver, so never
    all at once. A worker keeps its process after a GPU task (``max_calls=0``), and with it the loaded model; one that
    dies is run again once (``max_retries=1``). A task that dies again, or that is left pending, cannot tell the Prefect
    server so; that is done here (:mod:`flows.runtime.task_runs`).

    Args:
        task: the Prefect task.
        calls: the keyword arguments of each call; read lazily.
        cpus: what each task asks Ray for.
        gpus: likewise; 0 for none.
        parallel: how many tasks the cluster runs side by side.
        waiting: called at least twice a second; what it raises ends the waiting. Without it a cancellation on
            the Prefect server does so.
        instead: given a call and the state in which it ended, the task that is to have another go at it, or None. Asked
            once for each call; the outcome of the other task is then what is yielded.

    Yields:
        The call and the task run's final Prefect state, in the order in which they end. One whose process died has
        crashed, with one line that says how.

    Raises:
        RunCancelled: the flow's run was cancelled on the server.
        ClusterLost: another cluster is at the address of this one.
    """
    with contextlib.ExitStack() as stack:
        looks = [waiting or stack.enter_context(_ended_by_cancelling()), stack.enter_context(cluster_watch())]

        def look() -> None:
            for one in looks:
                one()

        over = stack.enter_context(task_runs.closing(get_run_logger()))
        window = min(2 * parallel, WINDOW)
        yield from _run_tasks(task, calls, cpus, gpus, window, look, instead, over)


@contextlib.contextmanager
def _ended_by_cancelling() -> Iterator[Callable[[], None]]:
    with cancelling.cancel_requests(get_run_logger()) as cancelled:

        def look() -> None:
            if why := cancelled():
                raise cancelling.RunCancelled(f"{why}; {cancelling.GOES_ON}")

        yield look


def _run_tasks(
    task: Any,
    calls: Iterable[Call],
    cpus: float,
    gpus: float,
    window: int,
    waiting: Callable[[], None],
    instead: Callable[[Call, State[Any]], Any] | None,
    over: task_runs.Ended,
) -> Iterator[tuple[Call, State[Any]]]:
    import ray
    from prefect_ray.context import remote_options

    pending: dict[Any, tuple[Call, Any, bool]] = {}
    todo = iter(calls)
    exhausted = False

    def submit(chosen: Any, call: Call, again: bool) -> None:
        with remote_options(num_cpus=cpus, num_gpus=gpus, max_calls=0, max_retries=1):
            future = chosen.submit(**call)
        pending[future.wrapped_future] = (call, future, again)

    try:
        while True:
            while not exhausted and len(pending) < window:
                call = next(todo, None)
                if call is None:
                    exhausted = True
                    break
                submit(task, call, again=False)
            if not pending:
                return
            waiting()
            try:
                done, _ = ray.wait(list(pending), num_returns=1, timeout=WAIT)
            except SystemError as error:
                # What Ray's own code makes of a signal's exception that was raised in its midst.
                raise error.__cause__ or error from None
            for reference in done:
                call, future, again = pending.pop(reference)
                state = _final_state(future)
                over(future.task_run_id, state)
                other = instead(call, state) if instead is not None and not again else None
                if other is None:
                    yield call, state
                else:
                    submit(other, call, again=True)
    finally:
        for _, future, _ in pending.values():
            over(future.task_run_id, Cancelled(message="the flow stopped before this task had ended"))


def _final_state(future: Any) -> State[Any]:
    """The state in which a task run ended; where Ray gave up on it, with one line that says why."""
    future.wait()  # makes a state of what Ray raises, which the future's result would not
    state: State[Any] = future.state
    if not (state.is_crashed() and isinstance(state.data, BaseException)):
        return state
    name = type(state.data).__name__
    why = f"{_DEATHS[name]}, also at a second attempt" if name in _DEATHS else _first_sentence(state.data)
    return Crashed(message=f"{why} ({name})", data=state.data)
