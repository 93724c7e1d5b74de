"""A directory as a store."""

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from attgan.errors import UserError
from flows.storage.errors import AccessDenied, KeyRefused, ObjectRefused, PreconditionFailed, StorageError
from flows.storage.objects import Fetched, ObjectInfo
from flows.storage.tree import TEMPORARY, is_below, walk
from flows.urls import Location

# What file systems answer that have no hard links: FAT, exFAT, and many network and FUSE mounts.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# What file systems answer that do not have all names: FAT, exFAT, and those that check for UTF-8.
_NAME_REFUSED = (errno.EINVAL, errno.EILSEQ)
# Seconds to wait for the lock on a folder, which is held for microseconds, and between two looks at it.
LOCK_SECONDS, _PAUSE = 30.0, 0.001
LOCKED = "another process holds the lock on the folder"


class DiskStore:
    """A directory with files as objects: see :class:`flows.storage.objects.Store`.

    A put writes a temporary file beside the target, syncs it, and links or renames it into place. An ETag consists of
    size and modification time. A file that is replaced through a store always gets a later time than it had.
    Compare-and-swap locks the folder, and so does a create-only put where the file system has no hard links. That is
    safe against puts and deletes through stores on the same machine, but not against programs that write the file in
    place. Metadata and content types are dropped.
    """

    def __init__(self, location: Location, option: str) -> None:
        self.url = location.url
        self._option = option
        self._root = os.path.realpath(location.path)

    def __repr__(self) -> str:
        return f"DiskStore({self.url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} belongs to its process: pass its URL and open it there")

    def list(
        self, prefix: str = "", passed_over: Callable[[str, str], None] | None = None
    ) -> Iterator[ObjectInfo]:
        """The files, sorted by key: see :meth:`Store.list`."""
        for key, found in walk(self._root, prefix, passed_over):
            if isinstance(found, str):
                yield ObjectInfo(key, 0, "", datetime.now(UTC), refused=found)
            else:
                yield _info(key, found)

    def get(self, key: str) -> Fetched:
        """The file's content: see :meth:`Store.get`."""
        try:
            with open(self._readable(key), "rb", opener=_open_regular) as file:
                etag = _etag(os.fstat(file.fileno()))
                return Fetched(file.read(), etag, {})
        except OSError as error:
            raise self._explain(error, key) from None

    def head(self, key: str) -> ObjectInfo:
        """The file's size and time: see :meth:`Store.head`."""
        try:
            found = os.stat(self._readable(key))
        except OSError as error:
            raise self._explain(error, key) from None
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(self._name(key))
        return _info(key, found)

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
        """Write the file, whole or not at all: see :meth:`Store.put`."""
        if create_only and if_match is not None:
            raise ValueError("create_only and if_match exclude each other")
        path = self._path(key)
        folder = os.path.dirname(path)
        temporary = os.path.join(folder, f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            os.makedirs(folder, exist_ok=True)
            try:
                _write_synced(temporary, data)
                etag = (
                    _create(temporary, path) if create_only else self._replace(temporary, path, key, if_match)
                )
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
            _sync_folder(folder)
        except OSError as error:
            raise self._explain(error, key, writing=True) from None
        return etag

    def delete(self, key: str) -> None:
        """Remove the file: see :meth:`Store.delete`."""
        path = self._path(key)
        try:
            with _locked(os.path.dirname(path)):
                os.unlink(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            # There is no object of this name.
            return
        except OSError as error:
            raise self._explain(error, key, writing=True) from None

    async def aget(self, key: str) -> Fetched:
        """See :meth:`Store.aget`; in a thread."""
        return await asyncio.to_thread(self.get, key)

    def check(self, write: bool = False) -> None:
        """Check whether the directory can be used: see :meth:`Store.check`."""
        where = f"{self._option} {self.url!r}"
        nearest = self._root
        while write and not os.path.lexists(nearest):
            nearest = os.path.dirname(nearest)
        if not os.path.lexists(nearest):
            raise UserError("directory-missing", f"{where}: there is no such directory")
        if not os.path.isdir(nearest):
            raise UserError("directory-is-file", f"{where}: {nearest} is a file, a directory is needed")
        if not os.access(nearest, os.R_OK | os.X_OK):
            raise UserError("directory-unreadable", f"{where}: {nearest} cannot be read with your rights")
        if not write:
            return
        try:
            # Only an attempt shows it: root has all rights, also where no file can be made, as in /proc.
            tempfile.TemporaryFile(dir=nearest).close()
        except OSError as error:
            raise UserError(
                "directory-unwritable", f"{where}: {nearest} cannot be written to: {error.strerror}"
            ) from None

    def make_bucket(self) -> None:
        """Make the directory: see :meth:`Store.make_bucket`."""
        try:
            os.makedirs(self._root, exist_ok=True)
        except OSError as error:
            raise UserError(
                "directory-unwritable", f"{self._option} {self.url!r}: cannot be made: {error.strerror}"
            ) from None

    def filesystem(self) -> tuple[Any, str]:
        """The local file system and the directory: see :meth:`Store.filesystem`."""
        import pyarrow.fs

        return pyarrow.fs.LocalFileSystem(), self._root

    def _name(self, key: str) -> str:
        return os.path.join(self.url, key)

    def _path(self, key: str) -> str:
        """The absolute path of a key.

        Raises:
            KeyRefused: the key leads out of the directory, or ``list`` would not return it.
        """
        segments = key.split("/")
        if any(segment in ("", ".", "..") for segment in segments) or "\0" in key:
            raise KeyRefused(f"key {key!r}: a directory cannot hold empty, '.' or '..' parts, or NUL")
        if any(segment.startswith(TEMPORARY) for segment in segments):
            raise KeyRefused(f"key {key!r}: names that begin with {TEMPORARY!r} are reserved")
        try:
            key.encode()
        except UnicodeEncodeError:
            raise KeyRefused(f"key {key!r}: not UTF-8 text") from None
        folder = os.path.join(self._root, *segments[:-1])
        if os.path.realpath(folder) != folder:
            # Listings do not descend into linked folders, so a key through one could not be listed.
            raise KeyRefused(f"key {key!r}: contains a symbolic link in {self.url!r}")
        return os.path.join(folder, segments[-1])

    def _readable(self, key: str) -> str:
        """The path of a key. A symbolic link to a file inside the directory may be read."""
        path = self._path(key)
        if os.path.islink(path) and not is_below(os.path.realpath(path), self._root):
            raise KeyRefused(f"key {key!r}: is a symbolic link that leads out of {self.url!r}")
        return path

    def _replace(self, temporary: str, path: str, key: str, if_match: str | None) -> str:
        """Rename into place under the folder's lock, with a modification time after that of the replaced file."""
        with _locked(os.path.dirname(path), needed=if_match is not None):
            try:
                current = os.lstat(path)
            except FileNotFoundError:
                current = None
            if if_match is not None and (current is None or _etag(current) != if_match):
                raise PreconditionFailed(f"{self._name(key)}: does not have ETag {if_match!r}")
            new = os.stat(temporary)
            if current is not None and new.st_mtime_ns <= current.st_mtime_ns:
                os.utime(temporary, ns=(new.st_atime_ns, current.st_mtime_ns + 1))
                new = os.stat(temporary)
            os.replace(temporary, path)
        return _etag(new)

    def _explain(self, error: OSError, key: str, writing: bool = False) -> Exception:
        """The error of the store's interface for a failed system call."""
        name, code = self._name(key), error.errno
        path = os.path.join(self._root, key)
        if writing and code == errno.EEXIST and os.path.lexists(path) and not os.path.isdir(path):
            return FileExistsError(name)
        if writing and code in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            return KeyRefused(f"key {key!r}: a directory cannot hold a file and a folder of the same name")
        if code == errno.ENAMETOOLONG:
            return KeyRefused(f"key {key!r}: a name in it is too long for the file system")
        if not writing and code in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            return FileNotFoundError(name)
        if code in (errno.EACCES, errno.EPERM):
            return AccessDenied(f"{name}: {error.strerror}")
        if code == errno.ELOOP or (writing and code in _NAME_REFUSED):
            return ObjectRefused(f"key {key!r}: {error.strerror}")
        return StorageError(f"{name}: {error.strerror or error}")


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    return ObjectInfo(key, found.st_size, _etag(found), modified)


def _etag(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file. A pipe or a folder is no object, and must not block."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    return descriptor


def _write_synced(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _create(temporary: str, path: str) -> str:
    """Give a file its name, which must be free, and return its ETag.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        # Unlike a rename, a link fails if the target exists.
        os.link(temporary, path)
        return _etag(os.stat(temporary))
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    with _locked(os.path.dirname(path), needed=True):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        etag = _etag(os.stat(temporary))
        os.rename(temporary, path)
    return etag


def _sync_folder(folder: str) -> None:
    """Make a rename in the folder durable, if the file system supports it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int) -> None:
    """Wait for the lock on a folder, but not for ever: the process that holds it may be frozen.

    Raises:
        TimeoutError: another process has held it for :data:`LOCK_SECONDS`.
        OSError: the file system has no locks.
    """
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, LOCKED) from None
            time.sleep(_PAUSE)
        else:
            return


@contextlib.contextmanager
def _locked(folder: str, needed: bool = False) -> Iterator[None]:
    """Hold the lock on a folder. Without locks, as on some network file systems, only those who need it fail."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            _take_lock(descriptor)
        except OSError as error:
            if needed or isinstance(error, TimeoutError):
                raise
        yield
    finally:
        os.close(descriptor)
