"""Decoded faces that the processes of a node share: the first process writes a file, and all of them map it.

The file is a page of text, then the pixels. Its name depends on the dataset, the size and the decoder. While a process
writes it, it has a temporary name and an exclusive lock, and the others wait. If the writer dies, the system releases
its lock and the next process starts again. A process that has mapped the file holds a shared lock, so that nobody
removes it. Nothing is synced to the disk, so a file from before the machine's last start is not trusted.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import mmap
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from attgan.data import codec
from attgan.data.loading.cache import Report, cache_bytes_of, decode_parts
from attgan.data.manifest import to_bytes
from attgan.data.shards import Dataset

# Version of the file, and of the decoding as far as the versions of the libraries do not cover it.
FORMAT = 1
# Limit of all files together. Beyond it the least recently used files are removed.
MOST_BYTES = 16 * 2**30
# A file that was unused for so long is removed in any case.
UNUSED_SECONDS = 7 * 24 * 3600.0
# Share of the disk that stays free: other programs fail on a full disk (Ray when a twentieth is left).
FREE_SHARE = 0.1
SUFFIX = ".faces"
PARTIAL = ".partial"
_PAGE = 4096
_POLL_SECONDS = 0.1
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


class _Unusable(Exception):
    """The folder cannot be used. The text says why."""


class _File(NamedTuple):
    """A file to be made or found: the open folder it is in, its name there, and the shape of its pixels."""

    folder: int
    name: str
    shape: tuple[int, int, int, int]

    @property
    def length(self) -> int:
        """In bytes."""
        return _PAGE + cache_bytes_of(self.shape[0], self.shape[1])

    def heading(self, done: int) -> bytes:
        """The first page of the file once ``done`` rows are written."""
        boot = _BOOT.read_text().strip() if _BOOT.exists() else "unknown"
        return f"attgan faces {FORMAT}, boot {boot}, rows {done}\n".encode().ljust(_PAGE)


def share_faces(
    dataset: Dataset, size: int, folder: Path, threads: int, report: Report | None = None
) -> np.ndarray | None:
    """All faces ``(rows, size, size, 3)`` uint8, read-only, in the dataset's order; mapped, not copied.

    Args:
        dataset: what to decode.
        size: of the faces.
        folder: of the files. It is created with mode 0700, and used only if it has that mode and belongs to this user.
            All processes that map a file must run on one machine, as one user.
        threads: that decode.
        report: called with the number of decoded rows and of all rows, also while another process decodes.

    Returns:
        The faces; or None, with a line in the log, if the folder cannot be used or has no space left.

    Raises:
        UserError: a part is missing or another one, or an image does not open.
    """
    tell = report or (lambda done, total: None)
    try:
        with _own_folder(folder) as at:
            rows = dataset.manifest.counts.rows
            file = _File(at, _name(dataset, size), (rows, size, size, 3))
            faces = _find(file)
            while faces is None:
                with _claimed(file, lambda done: tell(done, rows)) as made:
                    faces = _find(file)  # by another process, before this one's turn came
                    if faces is None and made is not None:
                        faces = _make(file, made, dataset, threads, tell)
            return faces
    except _Unusable as reason:
        _log.warning("every process decodes its own copy of the faces, because %s: %s", folder, reason)
        return None


def _name(dataset: Dataset, size: int) -> str:
    made_by = f"\n{FORMAT}\n{codec.VERSION}\ntorch {torch.__version__}"  # torch resizes
    content = to_bytes(dataset.manifest) + made_by.encode()
    return f"{hashlib.sha256(content).hexdigest()[:32]}-{size}{SUFFIX}"


@contextlib.contextmanager
def _own_folder(folder: Path) -> Iterator[int]:
    """The folder, created if missing, as a descriptor: so the folder that is used is the one that was checked."""
    with _in_words():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(at)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise _Unusable("others than this user own it, or may read or write in it")
        yield at
    finally:
        os.close(at)


def _find(file: _File) -> np.ndarray | None:
    """The finished file, mapped; None if there is none that can be trusted."""
    with _in_words():
        try:
            at = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=file.folder)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(at)
            ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
            if not ours or found.st_size != file.length:
                return None
            if os.pread(at, _PAGE, 0) != file.heading(file.shape[0]):
                return None
            # Records the time of its last use.
            os.utime(at)
            return _map(file, at)
        finally:
            os.close(at)


def _map(file: _File, at: int) -> np.ndarray:
    # The mapping keeps a descriptor of its own, and with it the lock, after ``at`` is closed.
    fcntl.flock(at, fcntl.LOCK_SH)
    mapped = mmap.mmap(at, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    return np.frombuffer(mapped, dtype=np.uint8, offset=_PAGE).reshape(file.shape)


@contextlib.contextmanager
def _claimed(file: _File, waiting: Callable[[int], None]) -> Iterator[int | None]:
    """The unfinished file, locked by this process. Afterwards it is removed if it is still unfinished.

    Yields None if another process had the lock, and has finished the file or given it up.
    """
    at = _claim(file, waiting)
    if at is None:
        yield None
        return
    try:
        yield at
    finally:
        if _is_unfinished(file, at):
            os.unlink(file.name + PARTIAL, dir_fd=file.folder)
        os.close(at)


def _claim(file: _File, waiting: Callable[[int], None]) -> int | None:
    with _in_words():
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        at = os.open(file.name + PARTIAL, flags, 0o600, dir_fd=file.folder)
    claimed = False
    try:
        # A finished file stays locked by the processes that have it mapped; this lock must not be waited for.
        while not (claimed := _locked(at)) and _is_unfinished(file, at):
            waiting(_rows_done(at))
            time.sleep(_POLL_SECONDS)
        claimed = claimed and _is_unfinished(file, at)
    finally:
        if not claimed:
            os.close(at)
    return at if claimed else None


def _make(file: _File, at: int, dataset: Dataset, threads: int, report: Report) -> np.ndarray:
    """Decode into the claimed file, give it its name, and map it."""
    rows = file.shape[0]
    with _in_words():
        os.ftruncate(at, 0)  # what a maker that died has left, before it counts as taken
        _make_room(file)
        _write(at, file.heading(0), 0)
    done, offset = 0, _PAGE
    with contextlib.closing(decode_parts(dataset, file.shape[1], threads)) as parts:
        for faces in parts:
            with _in_words():
                # Written, not mapped: on a full disk a write is an error, but a store to a mapping kills the process.
                _write(at, faces.data, offset)
                done, offset = done + len(faces), offset + faces.nbytes
                _write(at, file.heading(done), 0)
            report(done, rows)
    with _in_words():
        os.rename(file.name + PARTIAL, file.name, src_dir_fd=file.folder, dst_dir_fd=file.folder)
        return _map(file, at)


def _make_room(file: _File) -> None:
    """Remove files that were unused for long, and then the least recently used ones until there is enough space."""
    kept = sorted(_files(file.folder), key=lambda found: found[1].st_mtime)
    together = sum(found.st_size for _, found in kept)
    for name, found in kept:
        old = time.time() - found.st_mtime > UNUSED_SECONDS
        crowded = together + file.length > MOST_BYTES or not _fits(file)
        if (old or crowded) and _remove_unused(file.folder, name):
            together -= found.st_size
    if not _fits(file):
        raise _Unusable(f"{file.length:,} bytes more would leave less than {FREE_SHARE:.0%} of the disk free")


def _files(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    for name in os.listdir(folder):
        if name.endswith((SUFFIX, SUFFIX + PARTIAL)):
            with contextlib.suppress(FileNotFoundError):
                yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)


def _fits(file: _File) -> bool:
    disk = os.statvfs(file.folder)
    return disk.f_bavail * disk.f_frsize - file.length >= FREE_SHARE * disk.f_blocks * disk.f_frsize


def _remove_unused(folder: int, name: str) -> bool:
    """Remove a file, unless a process writes it or has it mapped. Returns whether it is gone."""
    try:
        at = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return True
    try:
        if not _locked(at):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return True
    finally:
        os.close(at)


def _locked(at: int) -> bool:
    with _in_words():
        try:
            fcntl.flock(at, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_unfinished(file: _File, at: int) -> bool:
    """Whether the open file still has the temporary name of an unfinished one."""
    try:
        named = os.stat(file.name + PARTIAL, dir_fd=file.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(at))


def _rows_done(at: int) -> int:
    number = os.pread(at, _PAGE, 0).rpartition(b" rows ")[2].strip()
    return int(number) if number.isdigit() else 0


def _write(at: int, content: bytes | memoryview, offset: int) -> None:
    left = memoryview(content).cast("B")
    while left:
        written = os.pwrite(at, left, offset)
        left, offset = left[written:], offset + written


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Turn an error of the operating system into a reason not to share."""
    try:
        yield
    except OSError as error:
        raise _Unusable(error.strerror or errno.errorcode.get(error.errno or 0, str(error))) from error
