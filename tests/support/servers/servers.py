"""The servers of a stack, killed and started again on the same addresses and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local import lifecycle, processes
from infra.local.environment import client_environment, inherited
from infra.local.ports import free_ports
from infra.local.service import unhealthy
from infra.local.stack import Stack, load
from tests.support.processes import kill_all, ray_tasks
from tests.support.waiting import wait_until


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
        kill_all(processes.members(self._stack().processes[name]))

    def start(self, name: str) -> None:
        """Start a killed server again, and wait until it serves."""
        stack = self._stack()
        if name == "ray":
            stack.ports |= free_ports(["ray-node-manager"], taken=stack.ports.values())
        (service,) = (service for service in lifecycle.build_services(stack) if service.name == name)
        variables = {**inherited(), **client_environment(stack), processes.MARK: stack.mark}
        log = stack.logs / f"{name}-again.log"
        stack.processes[name] = processes.launch(
            service.command, {**variables, **service.environment}, log, service.folder
        )
        stack.save()
        wait_until(
            lambda: unhealthy(service) is None, lambda: f"{name} to serve again: {log.read_text()[-2000:]}"
        )

    def shard_workers(self) -> list[psutil.Process]:
        """The processes of the stack's Ray that are at a shard now."""
        return ray_tasks(self.environment["RAY_AUTH_TOKEN_PATH"], "edit-shard")

    def _stack(self) -> Stack:
        stack = load(self.folder)
        assert stack is not None
        return stack
