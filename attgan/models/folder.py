"""Small files in one folder of any filesystem, written so that a reader never sees a part of one.

On a local disk: temporary name, fsync, rename. On S3 an object appears when it is complete.
"""

import os
from pathlib import Path

from pyarrow import fs

PARTIAL = ".partial"


class Folder:
    """Files directly under ``path`` of ``filesystem`` (None: the local disk)."""

    def __init__(self, path: str | os.PathLike[str], filesystem: fs.FileSystem | None = None) -> None:
        self.path = os.fspath(path).rstrip("/") or "/"
        self.filesystem = filesystem or fs.LocalFileSystem()
        self._local = local_path(self.path, self.filesystem)

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            FileNotFoundError: no such file, or the folder is a file.
            OSError: the filesystem failed otherwise.
        """
        try:
            with self.filesystem.open_input_stream(self._at(name)) as stream:
                content: bytes = stream.read()
        except NotADirectoryError as error:
            raise FileNotFoundError(str(error)) from None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write or replace one file; missing folders are created.

        Raises:
            OSError: the filesystem failed.
        """
        if self._local is not None:
            _write_local(self._local / name, content)
            return
        try:
            self._put(name, content)
        except FileNotFoundError:
            # Only for filesystems with real folders: in an object store this would leave a marker object.
            self.filesystem.create_dir(self.path, recursive=True)
            self._put(name, content)

    def remove(self, name: str) -> None:
        """Remove one file if it exists."""
        if self.has(name):
            self.filesystem.delete_file(self._at(name))

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return bool(self.filesystem.get_file_info(self._at(name)).type == fs.FileType.File)

    def is_file(self) -> bool:
        """Whether the path is a file, not a folder."""
        return bool(self.filesystem.get_file_info(self.path).type == fs.FileType.File)

    def _at(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _put(self, name: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(self._at(name)) as stream:
            stream.write(content)


def local_path(path: str, filesystem: fs.FileSystem) -> Path | None:
    """The path on the local disk, or None if the filesystem is not local."""
    while isinstance(filesystem, fs.SubTreeFileSystem):
        path = f"{filesystem.base_path.rstrip('/')}/{path.lstrip('/')}"
        filesystem = filesystem.base_fs
    return Path(path) if isinstance(filesystem, fs.LocalFileSystem) else None


def _write_local(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + PARTIAL)
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
