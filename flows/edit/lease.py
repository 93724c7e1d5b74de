"""One run per destination: a lease that its holder renews, and that another command may take over when it expires.

The lease is the object ``_runs/lease.json``. It is only taken and renewed by compare-and-swap, so only one of two
simultaneous commands gets it. Its age is measured by the storage's clock, because machines' clocks may differ.

Trainings, and so the trials of a sweep, have the opposite rule (:mod:`attgan.training.run_folder.ownership`): there the
newest process owns the folder at once, because it is the retry of one that is believed dead, and waiting for a lease to
expire would only delay it. An older one that lives ends at its next write, and loses nothing that it saved.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.errors import UserError
from flows.runtime.repeating import repeated
from flows.storage import Fetched, PreconditionFailed, StorageError, Store

LEASE, CLOCK = "_runs/lease.json", "_runs/clock"
RENEW_SECONDS = 15.0
EXPIRED_SECONDS = 60.0
# Pause after a renewal that failed.
_RETRY_SECONDS = 3.0
# Time for the last renewal and the release. After that the lease expires by itself.
_RELEASE_SECONDS = 10.0
# Pause between two looks at another command's lease.
_POLL_SECONDS = 1.0

Log = logging.Logger | logging.LoggerAdapter[Any]


class Owner(BaseModel):
    """The process that holds the lease. ``beat`` grows with each renewal, so that each one has a new ETag."""

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
        """Whether the holder was a process on this machine that has ended; False if that cannot be known."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        try:
            return bool(psutil.Process(self.pid).create_time() != self.started)
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


class Lease:
    """A lease that this process has taken. It must be renewed, or it expires.

    Attributes:
        lost: who has taken it over; None while this process holds it, as far as it knows.
    """

    def __init__(self, store: Store, owner: Owner, etag: str) -> None:
        self._store, self._owner, self._etag = store, owner, etag
        self.lost: str | None = None

    def renew(self) -> None:
        """Renew the lease, or find out that it is lost. A lost one stays lost.

        Raises:
            StorageError: the storage failed after its retries. The lease may still be ours.
            UserError: the credentials are no longer accepted, or the object is not a lease.
        """
        if self.lost is not None:
            return
        body = self._owner.model_copy(update={"beat": self._owner.beat + 1})
        try:
            self._etag = self._store.put(LEASE, _body(body), if_match=self._etag)
            self._owner = body
        except PreconditionFailed:
            there = _read(self._store)
            if there is not None and there[0].token == self._owner.token:
                # An earlier renewal had succeeded, and only its answer was lost.
                self._owner, self._etag = there
            elif there is not None:
                self.lost = f"{there[0].host} (process {there[0].pid})"
            else:
                self.lost = "a program that deleted the lease"

    def release(self) -> None:
        """Give the lease back, so that the next command need not wait. If the storage fails, the lease expires."""
        if self.lost is None:
            body = self._owner.model_copy(update={"released": True})
            with contextlib.suppress(StorageError, PreconditionFailed, UserError):
                self._store.put(LEASE, _body(body), if_match=self._etag)


@contextlib.contextmanager
def held(destination: Store, log: Log) -> Iterator[Lease]:
    """Hold the destination's lease, which a thread renews; errors and waiting as for :func:`take`."""
    lease = take(destination, this_process(), log)
    with repeated(
        "lease",
        lease.renew,
        RENEW_SECONDS,
        retry_after=_RETRY_SECONDS,
        failed=lambda error: log.warning("the lease of %s is not renewed: %s", destination.url, error),
        at_end=lease.release,
        patience=_RELEASE_SECONDS,
    ):
        yield lease


def take(store: Store, owner: Owner, log: Log, sleep: Callable[[float], None] = time.sleep) -> Lease:
    """Take the lease of a destination.

    That of another command is taken over when it was released, when its process on this machine has ended, or when it
    was not renewed for :data:`EXPIRED_SECONDS`. This function waits that long if necessary.

    Args:
        store: the destination.
        owner: who takes it.
        log: says that it waits.
        sleep: waits for a number of seconds.

    Raises:
        UserError: another command holds the lease and keeps renewing it.
        StorageError: the storage failed after its retries.
    """
    # The ETag of the other lease when it was first read. Another ETag means that its holder is alive.
    seen: str | None = None
    while True:
        there = _read(store)
        if there is not None and (left := _seconds_left(store, there[0])) > 0:
            other, etag = there
            if seen not in (None, etag):
                raise UserError(
                    "destination-in-use",
                    f"--destination {store.url}: another run is writing there, on {other.host} (process {other.pid})",
                )
            if seen is None:
                log.warning(
                    "%s: a run on %s (process %d) holds the lease; waiting %.0f s at most for it to renew or expire",
                    store.url,
                    other.host,
                    other.pid,
                    left,
                )
            seen = etag
            sleep(min(_POLL_SECONDS, left))
        elif (taken := _try(store, owner, there[1] if there else None)) is not None:
            return Lease(store, owner, taken)


def this_process() -> Owner:
    """This process as the owner of a new lease."""
    return Owner(
        token=secrets.token_hex(16),
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
    )


def _seconds_left(store: Store, owner: Owner) -> float:
    """Seconds until another command's lease may be taken over."""
    return 0.0 if owner.released or owner.gone else EXPIRED_SECONDS - _age(store)


def _try(store: Store, owner: Owner, if_match: str | None) -> str | None:
    """Try to take the lease: create it, or replace the one with this ETag.

    Returns:
        Its new ETag; None if another command was faster.
    """
    try:
        return store.put(LEASE, _body(owner), create_only=if_match is None, if_match=if_match)
    except (FileExistsError, PreconditionFailed):
        # It is ours if an earlier attempt had succeeded, and only its answer was lost.
        there = _read(store)
        return there[1] if there is not None and there[0].token == owner.token else None


def _read(store: Store) -> tuple[Owner, str] | None:
    """The lease's holder and its ETag; None if there is no lease.

    Raises:
        UserError: the object is not a lease.
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
    """Seconds since the lease was written, by the storage's clock. To read that clock, an object is written."""
    try:
        written = store.head(LEASE).modified
    except FileNotFoundError:
        return 0.0
    store.put(CLOCK, secrets.token_bytes(8))
    return (store.head(CLOCK).modified - written).total_seconds()


def _machine() -> str:
    """Identifies this boot of this machine and its process namespace, since containers may share a host name."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return str(psutil.boot_time())


def _body(owner: Owner) -> bytes:
    return json.dumps(owner.model_dump(), indent=1).encode()
