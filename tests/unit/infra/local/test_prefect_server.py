"""A new stack gets a copy of the database that the first one has made."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from infra.local.prefect_server import prefect_server
from infra.local.stack import Stack


def _stack(folder: Path) -> Stack:
    folder.mkdir()
    return Stack(folder, "0" * 32, folder / "scratch", {"prefect": 4200})


def _start(stack: Stack, table: str) -> list[str]:
    """What a server finds in its database; it makes a table and a note if there is none."""
    server = prefect_server(stack)
    server.before()
    with closing(sqlite3.connect(server.folder / "prefect.db")) as database:
        found = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        if not found:
            database.execute(f"CREATE TABLE {table} (x)")
            (server.folder / "memo_store.toml").touch()
    server.after()
    return found


def test_a_second_stack_gets_the_first_ones_database_and_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    first, second = _stack(tmp_path / "first"), _stack(tmp_path / "second")
    assert _start(first, "made") == []
    with closing(sqlite3.connect(first.folder / "prefect" / "prefect.db")) as database:
        database.execute("CREATE TABLE used (x)")
    assert _start(second, "other") == ["made"]
    assert _start(first, "other") == ["made", "used"]
    # What a stack has been used for is not in the copies.
    assert _start(_stack(tmp_path / "third"), "other") == ["made"]
