"""A store that fails on purpose: at the n-th operation of a kind, always the same one.

It stands between the edit and the store that :func:`flows.storage.open_store` makes. Everything that is asked of the
store, and what came of it, is written to a journal, which outlives the process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from flows.settings import EditSettings
from flows.storage import Fetched, ObjectInfo, PreconditionFailed, StorageError, Store, disk
from flows.storage.s3 import store as s3

T = TypeVar("T")

Operation = Literal["get", "put", "head", "list", "delete", "open"]
Kind = Literal["exit", "error", "lost", "full", "stop", "pause"]
Moment = Literal["before", "after"]

# The exit code of a process that ended at a point, as after SIGKILL.
KILLED = 137
# Seconds that a paused operation waits.
PAUSE = 2.5


@dataclass(frozen=True)
class Point:
    """A named point: before or after the n-th operation (from 1) on objects of a sort, see :func:`sort_of`."""

    operation: Operation
    sort: str
    nth: int = 1
    moment: Moment = "before"

    def __str__(self) -> str:
        return f"{self.moment} {self.operation} {self.sort}"


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and where.

    Attributes:
        kind: ``exit`` ends the process as SIGKILL would; ``error`` is a storage that has failed for longer than its
            client's retries; ``lost`` carries the put out, but the client does not hear of it and sends it again;
            ``full`` is a disk without room, in the middle of the file (before) or for its name (after); ``stop`` is
            SIGSTOP; ``pause`` holds this one operation up for :data:`PAUSE` seconds.
    """

    kind: Kind
    point: Point

    def __str__(self) -> str:
        return f"{self.kind} {self.point} #{self.point.nth}"


@dataclass
class Script:
    """What is to happen in this process, and the journal of what has.

    Attributes:
        phase: of the command that is at work, for the journal.
    """

    settings: EditSettings
    journal: Path
    fault: Fault | None = None
    phase: str = "prepare"
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def due(self, operation: Operation, path: str) -> Fault | None:
        """The fault, if this operation is the one at which it is to strike; counts the operation."""
        key = (operation, sort_of(path, self.settings))
        with self._lock:
            self._seen[key] += 1
            if self.fault is None:
                return None
            point = self.fault.point
            return self.fault if (*key, self._seen[key]) == (point.operation, point.sort, point.nth) else None

    def note(self, operation: str, path: str, result: str) -> None:
        """Add a line to the journal; it is with the kernel when this returns."""
        sort = sort_of(path, self.settings)
        line = {
            "phase": self.phase,
            "operation": operation,
            "sort": sort,
            "path": path,
            "result": result,
        }
        descriptor = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)


def read_journal(path: Path) -> list[dict[str, str]]:
    """The journal's lines: ``phase``, ``operation``, ``sort``, ``path`` and ``result``."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def sort_of(path: str, settings: EditSettings) -> str:
    """What an object is to the edit: ``output``, ``source``, ``plan``, ``ledger``, ``report``, …"""
    for sort, url in (("source", settings.source), ("bundle", settings.bundle), ("labels", settings.labels)):
        if url is not None and (path == url or path.startswith(url + "/")):
            return sort
    below = path.removeprefix(settings.destination).lstrip("/")
    parts = below.split("/")
    match parts:
        case ["_runs", "lease.json" | "latest.json" | "clock" as name]:
            return name.removesuffix(".json")
        case ["_runs", _, "plan" | "ledger" | "ignored" as folder, *_]:
            return folder
        case ["_runs", _, name]:
            return name.rpartition(".")[0] or name
        case ["_state", _, "done.json"]:
            return "done"
        case ["_state", *_]:
            return "state"
    return "output"


class FaultyStore:
    """A store as the edit sees it: see :class:`flows.storage.Store`."""

    def __init__(self, honest: Store, script: Script) -> None:
        self._honest = honest
        self._script = script

    @property
    def url(self) -> str:
        return self._honest.url

    def get(self, key: str) -> Fetched:
        return self._do("get", key, lambda: self._honest.get(key))

    async def aget(self, key: str) -> Fetched:
        return self.get(key)

    def head(self, key: str) -> ObjectInfo:
        return self._do("head", key, lambda: self._honest.head(key))

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> str:
        options: dict[str, Any] = {"create_only": create_only, "if_match": if_match}
        options |= {"metadata": metadata, "content_type": content_type}

        def again() -> str:
            if create_only:
                raise FileExistsError(key)
            if if_match is not None:
                raise PreconditionFailed(key)
            return self._honest.put(key, data, **options)

        return self._do("put", key, lambda: self._honest.put(key, data, **options), again)

    def delete(self, key: str) -> None:
        self._do("delete", key, lambda: self._honest.delete(key))

    def list(
        self, prefix: str = "", passed_over: Callable[[str, str], None] | None = None
    ) -> Iterator[ObjectInfo]:
        """The points of a listing are its objects: it may end badly between any two of them."""
        for info in self._honest.list(prefix, passed_over):
            yield self._do("list", info.key, lambda info=info: info)

    def check(self, write: bool = False) -> None:
        self._honest.check(write)

    def make_bucket(self) -> None:
        self._honest.make_bucket()

    def filesystem(self) -> tuple[Any, str]:
        return self._do("open", "", self._honest.filesystem)

    def _do(
        self,
        operation: Operation,
        key: str,
        request: Callable[[], T],
        again: Callable[[], T] | None = None,
    ) -> T:
        path = f"{self.url}/{key}" if key else self.url
        fault = self._script.due(operation, path)
        kind, moment = (fault.kind, fault.point.moment) if fault else (None, None)
        if fault is not None:
            self._script.note("fault", path, fault.kind)
        if moment == "before" and kind != "full":
            self._strike(kind, path)
        try:
            with no_room(moment) if kind == "full" and moment else contextlib.nullcontext():
                result = request()
        except Exception as error:
            self._script.note(operation, path, type(error).__name__)
            raise
        self._script.note(operation, path, "ok")
        if kind == "lost" and again is not None:
            return again()
        if moment == "after":
            self._strike(kind, path)
        return result

    def _strike(self, kind: Kind | None, path: str) -> None:
        if kind == "exit":
            os._exit(KILLED)
        elif kind == "error":
            raise StorageError(f"{path}: failed on purpose")
        elif kind == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif kind == "pause":
            time.sleep(PAUSE)


def install(script: Script) -> None:
    """From now on every store that this process opens follows the script."""
    for module, name in ((disk, "DiskStore"), (s3, "S3Store")):
        honest = getattr(module, name)

        def make(*args: Any, honest: Callable[..., Store] = honest) -> FaultyStore:
            return FaultyStore(honest(*args), script)

        setattr(module, name, make)


# .moment: while a put of this thread finds no room.
_full = threading.local()
_write_honestly, _link_honestly, _replace_honestly = disk._write_synced, os.link, os.replace


@contextlib.contextmanager
def no_room(moment: Moment) -> Iterator[None]:
    """This thread's next put meets a full disk: in the middle of the file, or where it is given its name."""
    disk._write_synced, os.link, os.replace = _write, _link, _replace
    _full.moment = moment
    try:
        yield
    finally:
        _full.moment = None


def _write(path: str, data: bytes) -> None:
    if getattr(_full, "moment", None) == "before":
        _write_honestly(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _write_honestly(path, data)


def _link(*args: Any, **options: Any) -> None:
    _refuse_name()
    _link_honestly(*args, **options)


def _replace(*args: Any, **options: Any) -> None:
    _refuse_name()
    _replace_honestly(*args, **options)


def _refuse_name() -> None:
    if getattr(_full, "moment", None) == "after":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
