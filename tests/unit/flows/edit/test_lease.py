"""One run per destination: who holds it, who waits, who takes over."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.edit import lease
from flows.storage import Store, open_store
from tests.support.refusals import refused
from tests.support.waiting import wait_until

LOG = logging.getLogger("test")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules, but a sign of life comes sooner."""
    for name, seconds in (
        ("RENEW_SECONDS", 0.2),
        ("_POLL_SECONDS", 0.05),
        ("_RETRY_SECONDS", 0.2),
    ):
        monkeypatch.setattr(lease, name, seconds)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def held_by(store: Store, **changes: Any) -> str:
    """Write somebody's lease; its ETag."""
    body = {"token": "other", "host": "elsewhere", "machine": "m", "pid": 1, "started": 1.0} | changes
    return store.put(lease.LEASE, json.dumps(body).encode())


def test_it_is_free_again_at_the_end(store: Store) -> None:
    with lease.held(store, LOG) as first:
        assert first.lost is None
    with lease.held(store, LOG) as second:
        assert second.lost is None
    assert json.loads(store.get(lease.LEASE).data)["released"]


def test_a_second_command_is_refused_while_the_first_renews(store: Store) -> None:
    with lease.held(store, LOG) as first:
        with refused("destination-in-use"):
            lease.take(store, lease.this_process(), LOG)
        assert first.lost is None


def test_it_is_renewed_for_as_long_as_it_is_held(store: Store) -> None:
    with lease.held(store, LOG):
        seen = set()

        def look() -> bool:
            seen.add(store.get(lease.LEASE).etag)
            return len(seen) > 2

        wait_until(look, "two renewals")


def test_a_silent_one_elsewhere_is_taken_over_when_it_has_expired(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "EXPIRED_SECONDS", 2.0)
    held_by(store)
    with lease.held(store, LOG):
        assert json.loads(store.get(lease.LEASE).data)["token"] != "other"


def test_one_whose_process_here_is_gone_is_taken_over_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "EXPIRED_SECONDS", 3600.0)
    script = (
        "import logging, os, sys; from flows.edit import lease; from flows.storage import open_store\n"
        "lease.take(open_store(sys.argv[1]), lease.this_process(), logging.getLogger()); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, store.url], check=False)
    assert json.loads(store.get(lease.LEASE).data)["released"] is False
    with lease.held(store, LOG):
        pass


def test_whoever_lost_it_is_told_by_whom(store: Store) -> None:
    with lease.held(store, LOG) as mine:
        held_by(store, host="usurper", pid=7)
        wait_until(lambda: mine.lost, "the loss")
        assert mine.lost == "usurper (process 7)"
    assert json.loads(store.get(lease.LEASE).data)["host"] == "usurper", "another's lease is not released"


def test_what_is_not_a_lease_is_left_alone(store: Store) -> None:
    store.put(lease.LEASE, b"my notes")
    with (
        refused("lease-foreign"),
        lease.held(store, LOG),
    ):
        pass
    assert store.get(lease.LEASE).data == b"my notes"
