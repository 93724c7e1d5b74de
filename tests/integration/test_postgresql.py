"""PostgreSQL as a service of the stack: who may enter, what it keeps, how it ends."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from infra.errors import RefusedError, StackError
from infra.local import lifecycle, postgresql
from infra.local.processes import everything
from infra.local.service import unhealthy
from infra.local.stack import Stack, load
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def folder() -> Iterator[Path]:
    try:
        postgresql.require_postgresql()
    except RefusedError as error:
        pytest.skip(str(error))
    # Not below pytest's own folder, which is closed to the user that PostgreSQL runs as for root.
    with tempfile.TemporaryDirectory(prefix="attgan-postgresql-") as folder:
        yield Path(folder)


def _recorded(folder: Path) -> Stack:
    stack = load(folder)
    assert stack is not None
    return stack


def _ask(stack: Stack, query: str) -> Any:
    async def ask() -> Any:
        port = stack.ports["postgresql"]
        connection = await asyncpg.connect(
            host="/tmp", port=port, user="prefect", database="postgres", timeout=60
        )
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_its_data_outlive_the_stack_and_nothing_else_does(folder: Path) -> None:
    with lifecycle.running(folder, ("postgresql",), report=lambda line: None):
        first = _recorded(folder)
        _ask(first, "CREATE TABLE kept AS SELECT 7 AS x")
    assert everything(first.mark, first.processes.values()) == []
    assert not [path for path in postgresql.postgresql(first).leftovers if path.exists()]
    with lifecycle.running(folder, ("postgresql",), report=lambda line: None):
        assert _ask(_recorded(folder), "SELECT x FROM kept") == 7


def test_it_listens_on_no_port_and_lets_in_the_stacks_user_alone(folder: Path) -> None:
    with lifecycle.running(folder, ("postgresql",), report=lambda line: None):
        stack = _recorded(folder)
        server = psutil.Process(stack.processes["postgresql"].pid)
        assert server.uids().real != 0
        assert not server.net_connections("tcp")
        if os.geteuid() == 0:
            command = (
                "setpriv",
                "--reuid=nobody",
                "--clear-groups",
                "psql",
                "-h",
                "/tmp",
                "-U",
                "prefect",
                "postgres",
            )
            port = str(stack.ports["postgresql"])
            stranger = subprocess.run([*command, "-p", port], capture_output=True, text=True)
            assert stranger.returncode == 2
            assert "Peer authentication failed" in stranger.stderr


def test_a_killed_server_is_reported_and_starts_again_with_its_data(folder: Path) -> None:
    with lifecycle.running(folder, ("postgresql",), report=lambda line: None):
        stack = _recorded(folder)
        _ask(stack, "CREATE TABLE kept AS SELECT 7 AS x")
        psutil.Process(stack.processes["postgresql"].pid).kill()
        wait_until(lambda: unhealthy(postgresql.postgresql(stack)) is not None, "a reported death")
    with lifecycle.running(folder, ("postgresql",), report=lambda line: None):
        assert _ask(_recorded(folder), "SELECT x FROM kept") == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
def test_a_folder_that_its_user_may_not_enter_is_refused(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StackError) as refusal:
        lifecycle.up(closed / "stack", ("postgresql",), report=lambda line: None)
    assert isinstance(refusal.value, RefusedError)
    assert refusal.value.code == "postgresql-folder-closed"
    assert load(closed / "stack") is None
