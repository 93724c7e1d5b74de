"""A worker beside the tests' stack, which has none of its own: started and ended as a stack does it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from flows.deploy import deployments
from flows.settings import DeploySettings
from infra.local import processes
from infra.local.service import unhealthy
from infra.local.stack import load
from infra.local.worker import POOL, worker
from tests.support.waiting import wait_until


def deploy_once(client: SyncPrefectClient) -> None:
    """Register the deployments, unless an earlier test has; a worker has made the work pool before."""
    try:
        client.read_deployment_by_name("edit/edit")
    except ObjectNotFound:
        deployments.deploy(DeploySettings(pool=POOL))


@contextlib.contextmanager
def worker_beside(stack: Mapping[str, str], log: Path) -> Iterator[processes.Process]:
    """The process of a worker that serves the stack's deployments, once the Prefect server knows it."""
    there = load(Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1])
    assert there is not None
    service = worker(there)
    environment = {**os.environ, **stack, **service.environment, processes.MARK: there.mark}
    environment["PREFECT_WORKER_QUERY_SECONDS"] = "1"
    started = processes.launch(service.command, environment, log, service.folder)
    find = processes.offspring(started)

    def serves() -> bool:
        assert processes.exists(started), log.read_text()
        find()
        return unhealthy(service) is None

    try:
        wait_until(serves, lambda: f"the worker: {unhealthy(service)}: {log.read_text()}")
        yield started
    finally:
        assert processes.end(find, {}, usual=service.works) == []
        assert processes.end(lambda: processes.members(started), {started.pid: service.grace}) == []
