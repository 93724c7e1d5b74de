"""An S3 store as a pyarrow file system, for Parquet files and model bundles.

pyarrow has an S3 file system of its own, but it cannot renew credentials. obstore's adapter for fsspec does not accept
pyarrow's buffers when it writes. This file system uses the store's connection, and so the same credentials, retries and
errors as all other requests.
"""

import io
from collections.abc import Iterator
from typing import Any, Protocol

import obstore
import pyarrow
import pyarrow.fs

from flows.storage.errors import StorageError
from flows.storage.objects import Fetched, ObjectInfo
from flows.storage.s3 import faults

# Bytes of one part of an upload. S3 accepts 10,000 parts, so files may have up to 80 GB.
PART_BYTES = 8 * 2**20
READ_AHEAD_BYTES = 2**20


class ObjectStore(Protocol):
    """The methods of a store on S3 that the file system needs."""

    bucket: str
    prefix: str

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key begins with ``prefix``, sorted by key."""

    def folder(self, prefix: str) -> Iterator[ObjectInfo | str]:
        """The objects directly below a prefix, and the prefixes of the folders there."""

    def get(self, key: str) -> Fetched:
        """An object's content."""

    def head(self, key: str) -> ObjectInfo:
        """An object's size, ETag and time."""

    def read_range(self, key: str, start: int, end: int, etag: str) -> bytes:
        """Some bytes of the object with this ETag."""

    def put(self, key: str, data: bytes) -> str:
        """Store an object whole."""

    def delete(self, key: str) -> None:
        """Remove an object."""

    def name(self, key: str) -> str:
        """The object's name in messages."""

    def full_key(self, key: str) -> str:
        """The key in the bucket."""

    def connection(self) -> Any:
        """The open connection; its ``objects`` is obstore's store of the whole bucket."""


def make_filesystem(store: ObjectStore) -> tuple[pyarrow.fs.FileSystem, str]:
    """A file system whose paths are ``bucket/key``, and the path of the store in it."""
    base = f"{store.bucket}/{store.prefix}".removesuffix("/")
    return pyarrow.fs.PyFileSystem(StoreHandler(store, base)), base


class StoreHandler(pyarrow.fs.FileSystemHandler):
    """The file system's methods that pyarrow calls. A folder exists as long as it is not empty.

    Renaming and appending are not supported, because S3 has neither.
    """

    def __init__(self, store: ObjectStore, base: str) -> None:
        self._store = store
        self._base = base

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreHandler) and other._store is self._store

    def __hash__(self) -> int:
        return id(self._store)

    def get_type_name(self) -> str:
        """A name for messages."""
        return "s3+obstore"

    def normalize_path(self, path: str) -> str:
        """Paths are exact, except for a slash at the end."""
        return path.removesuffix("/")

    def get_file_info(self, paths: list[str]) -> list[pyarrow.fs.FileInfo]:
        """Whether each path is a file, a folder or nothing. One or two requests for each path."""
        return [self._look(path) for path in paths]

    def get_file_info_selector(self, selector: pyarrow.fs.FileSelector) -> list[pyarrow.fs.FileInfo]:
        """The contents of a folder. A recursive result includes folders."""
        folder = self._folder(selector.base_dir)
        infos: list[pyarrow.fs.FileInfo] = []
        if selector.recursive:
            seen: set[str] = set()
            for item in self._store.list(folder):
                parts = item.key[len(folder) :].split("/")
                for depth in range(1, len(parts)):
                    below = folder + "/".join(parts[:depth])
                    if below not in seen:
                        seen.add(below)
                        infos.append(pyarrow.fs.FileInfo(self._path(below), pyarrow.fs.FileType.Directory))
                if parts[-1]:
                    infos.append(self._file(item))
        else:
            for entry in self._store.folder(folder):
                if isinstance(entry, ObjectInfo):
                    infos.append(self._file(entry))
                else:
                    infos.append(pyarrow.fs.FileInfo(self._path(entry[:-1]), pyarrow.fs.FileType.Directory))
        if not infos and folder and not selector.allow_not_found:
            raise FileNotFoundError(selector.base_dir)
        return infos

    def create_dir(self, path: str, recursive: bool) -> None:
        """Do nothing: a folder appears with its first file."""

    def delete_dir(self, path: str) -> None:
        """Delete all that lies in a folder."""
        self.delete_dir_contents(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        """Delete all that lies in a folder."""
        folder = self._folder(path)
        if not folder:
            raise ValueError(f"{path}: the whole store is not deleted this way")
        found = False
        for item in self._store.list(folder):
            self._store.delete(item.key)
            found = True
        if not found and not missing_dir_ok:
            raise FileNotFoundError(path)

    def delete_root_dir_contents(self) -> None:
        """Refused."""
        raise ValueError(f"{self._base}: the whole store is not deleted this way")

    def delete_file(self, path: str) -> None:
        """Delete a file, which must exist."""
        key = self._key(path)
        self._store.head(key)
        self._store.delete(key)

    def move(self, src: str, dest: str) -> None:
        """Refused: on S3 it would be a copy and a deletion, which is not atomic."""
        raise NotImplementedError("S3 cannot rename")

    def copy_file(self, src: str, dest: str) -> None:
        """Copy one file, through this machine's memory."""
        self._store.put(self._key(dest), self._store.get(self._key(src)).data)

    def open_input_stream(self, path: str) -> pyarrow.NativeFile:
        """A file for reading from beginning to end."""
        file = io.BufferedReader(ObjectReader(self._store, self._key(path)), READ_AHEAD_BYTES)
        return pyarrow.PythonFile(file, mode="r")

    def open_input_file(self, path: str) -> pyarrow.NativeFile:
        """A file for reading at any position. Every read is a request; pyarrow combines neighbouring reads."""
        return pyarrow.PythonFile(ObjectReader(self._store, self._key(path)), mode="r")

    def open_output_stream(self, path: str, metadata: Any) -> pyarrow.NativeFile:
        """A file for writing. It appears, whole, when it is closed."""
        return pyarrow.PythonFile(ObjectWriter(self._store, self._key(path)), mode="w")

    def open_append_stream(self, path: str, metadata: Any) -> pyarrow.NativeFile:
        """Refused."""
        raise NotImplementedError("S3 cannot append to an object")

    def _look(self, path: str) -> pyarrow.fs.FileInfo:
        key = self._key(path)
        if key:
            try:
                return self._file(self._store.head(key))
            except FileNotFoundError:
                pass
        is_folder = not key or next(self._store.folder(key + "/"), None) is not None
        kind = pyarrow.fs.FileType.Directory if is_folder else pyarrow.fs.FileType.NotFound
        return pyarrow.fs.FileInfo(self._path(key), kind)

    def _file(self, item: ObjectInfo) -> pyarrow.fs.FileInfo:
        kind = pyarrow.fs.FileType.File
        return pyarrow.fs.FileInfo(self._path(item.key), kind, size=item.size, mtime=item.modified)

    def _key(self, path: str) -> str:
        path = path.removesuffix("/")
        if path == self._base:
            return ""
        if not path.startswith(self._base + "/"):
            raise ValueError(f"{path}: not below {self._base}")
        return path[len(self._base) + 1 :]

    def _folder(self, path: str) -> str:
        key = self._key(path)
        return key + "/" if key else ""

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}" if key else self._base


class ObjectReader(io.RawIOBase):
    """An object as a file for reading. If the object is replaced after it was opened, reads fail."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._info = store.head(key)
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def size(self) -> int:
        """The object's size in bytes."""
        return self._info.size

    def read(self, size: int | None = -1) -> bytes:
        """This many bytes from the current position, fewer only at the end."""
        rest = max(0, self._info.size - self._position)
        length = rest if size is None or size < 0 else min(size, rest)
        if length == 0:
            return b""
        start = self._position
        data = self._store.read_range(self._info.key, start, start + length, self._info.etag)
        self._position += length
        return data

    def readinto(self, buffer: Any) -> int:
        """``read`` into a buffer."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class ObjectWriter(io.RawIOBase):
    """An object as a file for writing. It is sent in parts, and appears when closed unless a part has failed."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._position = 0
        self._failed = False
        self._whole: bytearray | None = None
        self._upload: Any = None
        full = store.full_key(key)
        if faults.is_odd(full):
            self._whole = bytearray()
        else:
            self._upload = obstore.open_writer(
                store.connection().objects, full, buffer_size=PART_BYTES, max_concurrency=4
            )

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self._position

    def write(self, data: Any) -> int:
        """Add bytes at the end."""
        # pyarrow's buffers have signed bytes, and obstore accepts unsigned ones only.
        chunk = bytes(data)
        if self._whole is None:
            self._call(self._upload.write, chunk)
        else:
            self._whole += chunk
        self._position += len(chunk)
        return len(chunk)

    def close(self) -> None:
        """Complete the object. After a failed write nothing is completed."""
        if self.closed:
            return
        try:
            if self._failed:
                raise StorageError(f"{self._store.name(self._key)}: not written, an earlier part failed")
            if self._whole is None:
                self._call(self._upload.close)
            else:
                self._store.put(self._key, bytes(self._whole))
        finally:
            self._upload = None
            super().close()

    def __del__(self) -> None:
        # IOBase closes a file that is garbage-collected, which would complete the object. Dropping the upload first
        # prevents that.
        self._upload = None

    def _call(self, function: Any, *args: Any) -> None:
        try:
            function(*args)
        except faults.RAISED as error:
            self._failed = True
            raise faults.at_object(error, self._store.name(self._key), self._key) from None
