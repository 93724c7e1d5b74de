"""A storage in memory whose clock moves only when a test says so, and which fails at a chosen write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pyarrow import fs

from flows.storage import Fetched, ObjectInfo, PreconditionFailed, StorageError

Kind = Literal["killed before", "killed after", "lost", "failed before", "failed after"]
KINDS: tuple[Kind, ...] = ("killed before", "killed after", "lost", "failed before", "failed after")


class Killed(BaseException):
    """The process has ended without a word."""


@dataclass(frozen=True)
class Object:
    """What is stored under a path."""

    data: bytes
    etag: str
    modified: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Write:
    """A write that took effect; without an object it was a deletion."""

    path: str
    object: Object | None


class FakeStorage:
    """All buckets.

    Attributes:
        objects: by path: bucket and key.
        writes: all of them, in their order.
        fault: what happens at the write that is so many writes away, from 0; None without a fault.
        struck: the faults that have happened.
    """

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, Object] = {}
        self.writes: list[Write] = []
        self.fault: tuple[int, Kind] | None = None
        self.struck: list[Kind] = []
        self._folder = folder
        self._now = datetime(2030, 1, 1, tzinfo=UTC)

    def open(self, url: str, option: str = "--source") -> FakeStore:
        """Stands in for :func:`flows.storage.open_store`."""
        return FakeStore(self, url)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)

    def write(self, path: str, change: Callable[[], str], again: Callable[[], str]) -> str:
        """Do a write, or what the fault makes of it. ``again`` is what a client meets that repeats the request."""
        self.sleep(1e-3)
        kind = None
        if self.fault is not None:
            left, kind = self.fault[0], self.fault[1] if self.fault[0] == 0 else None
            self.fault = None if kind else (left - 1, self.fault[1])
        if kind:
            self.struck.append(kind)
        if kind == "killed before":
            raise Killed
        if kind == "failed before":
            raise StorageError(f"{path}: failed on purpose")
        etag = change()
        self.writes.append(Write(path, self.objects.get(path)))
        if kind == "killed after":
            raise Killed
        if kind == "failed after":
            raise StorageError(f"{path}: failed on purpose, but it is written")
        return again() if kind == "lost" else etag

    def store(self, path: str, data: bytes, metadata: Mapping[str, str]) -> str:
        """Put an object in its place; returns its ETag."""
        etag = f"e{len(self.writes)}"
        self.objects[path] = Object(data, etag, self._now, metadata)
        return etag

    def on_disk(self, path: str) -> Path:
        """The folder where the files below a path lie that are written through :meth:`FakeStore.filesystem`."""
        return self._folder / path


class FakeStore:
    """A bucket and a prefix of a :class:`FakeStorage`; see :class:`flows.storage.Store`."""

    def __init__(self, storage: FakeStorage, url: str) -> None:
        self.url = url.rstrip("/")
        self._storage, self._path = storage, self.url.partition("://")[2] + "/"

    def list(
        self, prefix: str = "", passed_over: Callable[[str, str], None] | None = None
    ) -> Iterator[ObjectInfo]:
        below = [path for path in self._storage.objects if path.startswith(self._path + prefix)]
        found = {path.removeprefix(self._path): self._storage.objects[path] for path in below}
        infos = [ObjectInfo(key, len(one.data), one.etag, one.modified) for key, one in found.items()]
        folder = self._storage.on_disk(self._path)
        if folder.is_dir():
            written = (path.name for path in folder.iterdir() if path.is_file())
            now = datetime(2030, 1, 1, tzinfo=UTC)
            infos += [ObjectInfo(name, 0, "", now) for name in written if name.startswith(prefix)]
        yield from sorted(infos, key=lambda info: info.key.encode())

    def get(self, key: str) -> Fetched:
        one = self._find(key)
        return Fetched(one.data, one.etag, one.metadata)

    def head(self, key: str) -> ObjectInfo:
        one = self._find(key)
        return ObjectInfo(key, len(one.data), one.etag, one.modified, one.metadata)

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
        path = self._path + key

        def request() -> str:
            there = self._storage.objects.get(path)
            if create_only and there is not None:
                raise FileExistsError(key)
            if if_match is not None and (there is None or there.etag != if_match):
                raise PreconditionFailed(key)
            return self._storage.store(path, data, metadata or {})

        return self._storage.write(path, request, request)

    def delete(self, key: str) -> None:
        path = self._path + key

        def request() -> str:
            self._storage.objects.pop(path, None)
            self._storage.on_disk(path).unlink(missing_ok=True)
            return ""

        self._storage.write(path, request, request)

    def check(self, write: bool = False) -> None:
        """Always usable."""

    def filesystem(self) -> tuple[Any, str]:
        folder = self._storage.on_disk(self._path)
        os.makedirs(folder, exist_ok=True)
        return fs.LocalFileSystem(), str(folder)

    def _find(self, key: str) -> Object:
        try:
            return self._storage.objects[self._path + key]
        except KeyError:
            raise FileNotFoundError(key) from None
