"""One run per destination: a lease that its holder renews, and that others can take over when it has gone silent.

The lease is the object ``_runs/lease.json``. It is taken and renewed by compare-and-swap only, so of two commands at
the same time one gets it. How old it is is told by the storage's clock, never by ours.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.errors import UserError
from flows.storage import Fetched, PreconditionFailed, StorageError, Store

LEASE, CLOCK = "_runs/lease.json", "_runs/clock"
RENEW_SECONDS = 15.0
EXPIRED_SECONDS = 60.0
_AGAIN_SECONDS = 3.0  # after a renewal that the storage did not carry out
_LOOK_SECONDS = 1.0  # while waiting for another's lease to expire

Log = logging.Logger | logging.LoggerAdapter[Any]


class Owner(BaseModel):
    """Who holds the lease. ``beat`` makes every renewal another content, and so another ETag."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str
    host: str
    machine: str
    pid: int
    started: float
    beat: int = 0
    released: bool = False

    @property
    def gone(self) -> bool:
        """Whether it was a process of this very machine that is no more; False where that cannot be told."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        try:
            return bool(psutil.Process(self.pid).create_time() != self.started)
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


class Lease:
    """A lease that is held; a thread renews it.

    ``lost`` says by whom it was taken, or None: whoever works under the lease asks for it now and then and stops.
    """

    def __init__(self, store: Store, owner: Owner, etag: str, log: Log) -> None:
        self._store, self._owner, self._etag, self._log = store, owner, etag, log
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_on_and_on, name="lease", daemon=True)
        self.lost: str | None = None
        self._thread.start()

    def release(self) -> None:
        """Let the next command have it at once. Without the storage's answer it expires by itself."""
        self._ended.set()
        self._thread.join(_AGAIN_SECONDS)
        if self.lost is None and not self._thread.is_alive():
            body = self._owner.model_copy(update={"released": True})
            with contextlib.suppress(StorageError, PreconditionFailed, UserError):
                self._store.put(LEASE, _body(body), if_match=self._etag)

    def _renew_on_and_on(self) -> None:
        pause = RENEW_SECONDS
        while not self._ended.wait(pause):
            try:
                pause = RENEW_SECONDS if self._renew() else _AGAIN_SECONDS
            except (StorageError, UserError) as error:
                # Nobody else gets it as long as it stands as it is; if somebody does, the next renewal tells.
                self._log.warning("the lease of %s is not renewed: %s", self._store.url, error)
                pause = _AGAIN_SECONDS
            if self.lost is not None:
                return

    def _renew(self) -> bool:
        body = self._owner.model_copy(update={"beat": self._owner.beat + 1})
        try:
            self._etag = self._store.put(LEASE, _body(body), if_match=self._etag)
        except PreconditionFailed:
            there = _read(self._store)
            if there is None or there[0].token != self._owner.token:
                who = f"{there[0].host} (process {there[0].pid})" if there else "somebody who deleted it"
                self.lost = who
                return False
            self._owner, self._etag = there  # the answer to an earlier attempt was lost on its way
            return True
        self._owner = body
        return True


@contextlib.contextmanager
def held(destination: Store, log: Log) -> Iterator[Lease]:
    """Hold the destination's lease.

    Another's lease is taken over when it was released, when its process on this machine is gone, and when it has not
    been renewed for :data:`EXPIRED_SECONDS`; for that it is waited for as long as need be.

    Raises:
        UserError: another command holds it and renews it.
        StorageError: the storage failed after its retries.
    """
    lease = _take(destination, log)
    try:
        yield lease
    finally:
        lease.release()


def _take(store: Store, log: Log) -> Lease:
    owner = Owner(
        token=secrets.token_hex(16),
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
    )
    seen: str | None = None  # the lease's ETag when it was first found alive
    while True:
        there = _read(store)
        if there is not None and (left := _seconds_left(store, there[0])) > 0:
            other, etag = there
            if seen not in (None, etag):
                raise UserError(
                    "destination-in-use",
                    f"--destination {store.url}: another run is at work there, on {other.host} (process {other.pid})",
                )
            if seen is None:
                words = "%s: a run on %s (process %d) holds it; waiting for a sign of life, %.0f s at most"
                log.warning(words, store.url, other.host, other.pid, left)
            seen = etag
            time.sleep(min(_LOOK_SECONDS, left))
        elif (taken := _try(store, owner, there[1] if there else None)) is not None:
            return Lease(store, owner, taken, log)


def _seconds_left(store: Store, owner: Owner) -> float:
    """Until another's lease may be taken over."""
    return 0.0 if owner.released or owner.gone else EXPIRED_SECONDS - _age(store)


def _try(store: Store, owner: Owner, if_match: str | None) -> str | None:
    """Take the lease that has this ETag, or that is not there: its new ETag, or None where another was faster."""
    try:
        return store.put(LEASE, _body(owner), create_only=if_match is None, if_match=if_match)
    except (FileExistsError, PreconditionFailed):
        there = _read(store)  # it may be ours: the answer to an earlier attempt was lost on its way
        return there[1] if there is not None and there[0].token == owner.token else None


def _read(store: Store) -> tuple[Owner, str] | None:
    """Who holds the lease, and its ETag; None where there is none.

    Raises:
        UserError: it is not a lease.
    """
    try:
        found: Fetched = store.get(LEASE)
        return Owner.model_validate_json(found.data), found.etag
    except FileNotFoundError:
        return None
    except ValidationError:
        raise UserError(
            "lease-foreign", f"{store.url}/{LEASE}: is not a lease of this version; it is left alone"
        ) from None


def _age(store: Store) -> float:
    """Seconds since the lease was written, by the storage's clock: a clock object is written to read it."""
    try:
        written = store.head(LEASE).modified
    except FileNotFoundError:
        return 0.0
    store.put(CLOCK, secrets.token_bytes(8))
    return (store.head(CLOCK).modified - written).total_seconds()


def _machine() -> str:
    """This boot of this machine, and the processes that this one can see: containers may share a host's name."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return str(psutil.boot_time())


def _body(owner: Owner) -> bytes:
    return json.dumps(owner.model_dump(), indent=1).encode()
