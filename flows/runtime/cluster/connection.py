"""The connection of a process to the Prefect server and the Ray cluster that its flows run on.

Their addresses are in the environment: ``PREFECT_API_URL`` and ``RAY_ADDRESS``.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from typing import Any

from packaging.version import Version
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus

from attgan.errors import UserError
from flows.runtime import internals
from flows.runtime.cluster import nodes
from flows.runtime.cluster.token import require_token
from flows.runtime.local_stack import shares_s3

_HINT = "`attgan up` starts one here"


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
        why = first_sentence(problem)
        raise UserError(
            "prefect-unreachable", f"PREFECT_API_URL {url}: no Prefect server answers there ({why}); {_HINT}"
        ) from problem
    return str(url)


def _refuse_older_server(url: str, server: str, client: str) -> None:
    if Version(server).release < Version(client).release:
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
            cannot run our tasks (:func:`flows.runtime.cluster.nodes.check_nodes`).
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
        if internals.is_no_node_here(error):
            raise UserError(
                "driver-outside-cluster",
                f"RAY_ADDRESS {address}: this machine is no node of that cluster, and flows run on one; run the "
                "command in a shell of the head, or as a deployment, with a Prefect worker on the head",
            ) from error
        raise UserError(
            "ray-join-failed", f"RAY_ADDRESS {address}: cannot be joined ({first_sentence(error)}); {_HINT}"
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


def _s3_of_this_process() -> dict[str, Any] | None:
    """The Ray runtime environment in which workers ask this process for its S3 credentials.

    None where the workers have the same ones: with a runtime environment a worker starts one or two seconds later.
    """
    if shares_s3():
        return None
    from flows.storage.s3 import handover

    return {"env_vars": {handover.SOCKET: handover.serve()}}


def first_sentence(error: BaseException) -> str:
    """The first sentence of an error, or its class without one."""
    return " ".join(str(error).split(". ")[0].split()) or type(error).__name__
