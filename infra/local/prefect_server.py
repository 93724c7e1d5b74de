"""The Prefect server with its UI, on SQLite or PostgreSQL."""

import contextlib
import os
import shutil
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path

from infra.local.postgresql import connection_url
from infra.local.service import Service, fetch
from infra.local.stack import Stack

PORTS = ("prefect",)
_DATABASE = "prefect.db"
# In it Prefect notes which types of blocks it has registered in the database.
_MEMO = "memo_store.toml"
# While this file exists, the database has only been made by the server, and not been used.
_UNPREPARED = "unprepared"


def prefect_server(stack: Stack) -> Service:
    """Prefect's API and UI in one process; its database and logs under `<folder>/prefect`."""
    folder = stack.folder / "prefect"
    folder.mkdir(mode=0o700, exist_ok=True)
    port = str(stack.ports["prefect"])
    sqlite = "postgresql" not in stack.services
    address = stack.address("prefect")
    return Service(
        name="prefect",
        title="Prefect server",
        links=(("Prefect UI", address),),
        command=(sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port),
        environment={
            # Relative to its working directory, so that the note of one stack is valid for the copy of another one.
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
                f"sqlite+aiosqlite:///{_DATABASE}" if sqlite else connection_url(stack)
            ),
            # Seconds. The default of 5 is too short for PostgreSQL on a busy machine.
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # The leases of runs on a concurrency limit. By default they are in memory and lost when the server
            # restarts, and minutes later Prefect ends a run that has lost its lease.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_UI_API_URL": address + "/api",
            # No page of another site may talk to it from this machine's browsers.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{address},{address.replace('127.0.0.1', 'localhost')}",
        },
        folder=folder,
        check=lambda: _check(stack),
        needs=() if sqlite else ("postgresql",),
        before=lambda: _copy_prepared(folder) if sqlite else None,
        after=lambda: _keep_prepared(folder) if sqlite else None,
    )


def _check(stack: Stack) -> None:
    fetch(stack.address("prefect") + "/api/health")


def _prepared() -> Path:
    """The folder with the database of a server that has just started for the first time, with this version of Prefect.

    Making all tables and types of blocks takes a server twice as long as the rest of its start.
    """
    return Path(sys.prefix) / "share" / "attgan" / f"prefect-{version('prefect')}"


def _copy_prepared(folder: Path) -> None:
    if (folder / _DATABASE).exists():
        return
    if _prepared().exists():
        shutil.copytree(_prepared(), folder, dirs_exist_ok=True)
    else:
        (folder / _UNPREPARED).touch()


def _keep_prepared(folder: Path) -> None:
    if not (folder / _UNPREPARED).exists():
        return
    (folder / _UNPREPARED).unlink()
    draft = _prepared().with_name(f"draft-{os.getpid()}")
    # Not everybody may write here, and another stack may keep its own database at this moment.
    with contextlib.suppress(OSError):
        draft.mkdir(parents=True)
        with (
            contextlib.closing(sqlite3.connect(folder / _DATABASE)) as source,
            contextlib.closing(sqlite3.connect(draft / _DATABASE)) as copy,
        ):
            source.backup(copy)
        shutil.copy(folder / _MEMO, draft)
        draft.rename(_prepared())
    shutil.rmtree(draft, ignore_errors=True)
