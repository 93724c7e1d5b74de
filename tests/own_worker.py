"""A worker beside the tests' stack, which has none of its own: started and ended as a stack does it."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra import processes
from infra.service import unhealthy
from infra.stack import load
from infra.worker import worker


@contextlib.contextmanager
def worker_beside(stack: Mapping[str, str], log: Path) -> Iterator[processes.Process]:
    """The process of a worker that serves the stack's deployments, once the Prefect server knows it."""
    there = load(Path(stack["RAY_AUTH_TOKEN_PATH"]).parents[1])
    assert there is not None
    service = worker(there)
    environment = {**os.environ, **stack, **service.environment, processes.MARK: there.mark}
    started = processes.launch(service.command, environment, log, service.folder)
    find = processes.offspring(started)
    try:
        deadline = time.monotonic() + 60
        while (problem := unhealthy(service)) and time.monotonic() < deadline:
            assert processes.exists(started), log.read_text()
            find()
            time.sleep(0.2)
        assert problem is None, f"{problem}: {log.read_text()}"
        yield started
    finally:
        assert processes.end(find, {}, usual=service.works) == []
        assert processes.end(lambda: processes.members(started), {started.pid: service.grace}) == []
