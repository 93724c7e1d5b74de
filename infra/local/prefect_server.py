"""The Prefect server with its UI, on SQLite."""

import sys

from infra.local.service import Service, fetch
from infra.local.stack import Stack

PORTS = ("prefect",)


def prefect_server(stack: Stack) -> Service:
    """Prefect's API and UI in one process; its database and logs under `<folder>/prefect`."""
    folder = stack.folder / "prefect"
    folder.mkdir(mode=0o700, exist_ok=True)
    port = str(stack.ports["prefect"])
    return Service(
        name="prefect",
        title="Prefect server",
        links=(("Prefect UI", stack.address("prefect")),),
        command=(sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port),
        environment={
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # The leases of runs on a concurrency limit. By default they are in memory and lost when the server
            # restarts, and minutes later Prefect ends a run that has lost its lease.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_UI_API_URL": stack.address("prefect") + "/api",
        },
        folder=folder,
        check=lambda: _check(stack),
    )


def _check(stack: Stack) -> None:
    fetch(stack.address("prefect") + "/api/health")
