"""The servers of a stack, killed and started again on the same addresses and data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra import lifecycle, processes
from infra.environment import client_environment, inherited
from infra.ports import free_ports
from infra.service import unhealthy
from infra.stack import Stack, load


@dataclass
class Servers:
    """A stack whose servers may be killed and started again, on the same addresses and data.

    Ray's node manager alone gets another port, as it does whenever nobody names one. On the same one a driver of the
    cluster before would be granted CPUs that nobody ever returns (Ray 2.60), before it sees that its cluster is gone.

    Attributes:
        folder: the stack's.
        environment: leads to it.
    """

    folder: Path
    environment: Mapping[str, str]

    def kill(self, name: str) -> None:
        """SIGKILL a server with all that belongs to it."""
        for process in processes.members(self._stack().processes[name]):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def start(self, name: str) -> None:
        """Start a killed server again, and wait until it serves."""
        stack = self._stack()
        if name == "ray":
            stack.ports |= free_ports(["ray-node-manager"], taken=stack.ports.values())
        (service,) = (service for service in lifecycle.describe(stack) if service.name == name)
        variables = {**inherited(), **client_environment(stack), processes.MARK: stack.mark}
        log = stack.logs / f"{name}-again.log"
        stack.processes[name] = processes.launch(
            service.command, {**variables, **service.environment}, log, service.folder
        )
        stack.save()
        wait_until(lambda: unhealthy(service) is None, lambda: log.read_text()[-2000:])

    def shard_workers(self) -> list[psutil.Process]:
        """The processes of the stack's Ray that are at a shard now."""
        return shard_workers(self.environment["RAY_AUTH_TOKEN_PATH"])

    def _stack(self) -> Stack:
        stack = load(self.folder)
        assert stack is not None
        return stack


def shard_workers(token_path: str) -> list[psutil.Process]:
    """The processes that are at a shard now, of the Ray cluster with this token."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("RAY_AUTH_TOKEN_PATH") == token_path
            if ours and process.cmdline()[:1] == ["ray::edit-shard"]:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(condition: Callable[[], object], explain: Callable[[], str], seconds: float = 120) -> None:
    """Look every now and then.

    Raises:
        TimeoutError: it does not come to pass.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(explain())
        time.sleep(0.05)
