"""Decoded faces that the processes of a node share: the first process writes a file, and all of them map it.

The file's name depends on the dataset, the size and the decoder. A process writes it under a lock and a temporary
name, and the others wait. If the writer dies, the system releases its lock, and the next process starts again.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import stat
import time
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from attgan.data import codec
from attgan.data.loading.cache import Report, cache_bytes_of, decode_parts
from attgan.data.manifest import to_bytes
from attgan.data.shards import Dataset

# Version of the file, and of the decoding as far as the versions of the libraries do not cover it.
FORMAT = 2
# Limit of all files together. Beyond it the least recently used files are removed.
MOST_BYTES = 16 * 2**30
# A file that was unused for so long is removed in any case.
UNUSED_SECONDS = 7 * 24 * 3600.0
# Share of the disk that stays free: other programs fail on a full disk (Ray when a twentieth is left).
FREE_SHARE = 0.1
SUFFIX, PARTIAL, LOCK = ".npy", ".partial", ".lock"
# The last one is of an earlier version.
_REMOVED = (SUFFIX, PARTIAL, ".faces")
# Seconds between two reports of a process that waits.
_REPORT_EVERY = 0.1
_log = logging.getLogger(__name__)


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
        The faces; or None, with a line in the log, if the folder cannot be used or the disk is too full.

    Raises:
        UserError: a part is missing or has changed, or an image does not open.
    """
    report = report or (lambda done, total: None)
    rows = dataset.manifest.counts.rows
    shape = (rows, size, size, 3)
    try:
        _check_own(folder)
        # torch is included because it does the resizing.
        versions = f"\n{FORMAT}\n{codec.VERSION}\ntorch {torch.__version__}"
        digest = hashlib.sha256(to_bytes(dataset.manifest) + versions.encode()).hexdigest()[:32]
        file = folder / f"{digest}-{size}{SUFFIX}"
        faces = _find(file, shape)
        if faces is None:
            with _acquire(file, rows, cache_bytes_of(1, size), report):
                # Another process may have written it meanwhile.
                faces = _find(file, shape)
                if faces is None:
                    _write(file, dataset, size, threads, report)
                    faces = _find(file, shape)
        return faces
    except OSError as error:
        reason = error.strerror or error
        _log.warning("every process decodes its own copy of the faces, because %s: %s", folder, reason)
        return None


def _check_own(folder: Path) -> None:
    """Create the folder if it is missing, and raise OSError unless it is this user's alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    # Whoever owns the parent may put another folder in this one's place.
    trusted = folder.parent.stat().st_uid in (os.geteuid(), 0)
    if not (private and trusted and found.st_uid == os.geteuid()):
        raise PermissionError(errno.EPERM, "others than this user own it, or may read or write in it")


def _find(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The finished file, mapped; None if there is none."""
    try:
        # Records the time of its last use.
        os.utime(file)
        # The array keeps the file readable even if another process removes its name.
        faces = np.load(file, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return np.asarray(faces) if (faces.shape, faces.dtype) == (shape, np.uint8) else None


def _acquire(file: Path, rows: int, row_bytes: int, report: Report) -> AbstractContextManager[Any]:
    """The lock of the file. While another process has it, the rows that it has written are reported."""
    lock = FileLock(file.with_suffix(LOCK))
    while True:
        try:
            return lock.acquire(timeout=_REPORT_EVERY)
        except Timeout:
            # It is missing before the first row and after the last one.
            with suppress(FileNotFoundError):
                written = file.with_suffix(PARTIAL).stat().st_size
                # Rounded down, because the header is shorter than a row.
                report(written // row_bytes, rows)


def _write(file: Path, dataset: Dataset, size: int, threads: int, report: Report) -> None:
    """Decode into a file of a temporary name, and give it its name."""
    rows = dataset.manifest.counts.rows
    partial = file.with_suffix(PARTIAL)
    # A writer that was killed, or somebody else, has left them.
    for path in (partial, file):
        path.unlink(missing_ok=True)
    _make_space(file.parent, cache_bytes_of(rows, size))
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, size, size, 3)}
    done = 0
    try:
        # Written, not mapped: on a full disk a write is an error, but a store to a mapping kills the process.
        with partial.open("wb") as out, closing(decode_parts(dataset, size, threads)) as parts:
            np.lib.format.write_array_header_1_0(out, header)
            for faces in parts:
                out.write(faces.data)
                # For the processes that wait and watch the file grow.
                out.flush()
                done += len(faces)
                report(done, rows)
            # Otherwise a file could have its name but not its content after a crash of the machine.
            os.fsync(out.fileno())
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


def _make_space(folder: Path, length: int) -> None:
    """Remove files that were unused for long, and then the least recently used ones until there is enough space."""

    def fits() -> bool:
        disk = shutil.disk_usage(folder)
        return disk.free - length >= FREE_SHARE * disk.total

    found = []
    for path in folder.iterdir():
        # Another process may rename or remove it meanwhile.
        with suppress(FileNotFoundError):
            if path.suffix in _REMOVED:
                found.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(bytes_ for _, bytes_, _ in found)
    for used, bytes_, path in sorted(found):
        if time.time() - used > UNUSED_SECONDS or total + length > MOST_BYTES or not fits():
            # The lock is held while the file is written.
            with suppress(Timeout), FileLock(path.with_suffix(LOCK), timeout=0):
                path.unlink(missing_ok=True)
                total -= bytes_
    if not fits():
        problem = f"{length:,} bytes more would leave less than {FREE_SHARE:.0%} of the disk free"
        raise OSError(errno.ENOSPC, problem)
