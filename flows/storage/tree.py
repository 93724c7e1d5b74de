"""Lists a directory in the order in which S3 lists keys."""

import logging
import os
import stat
from collections.abc import Iterator

from attgan.errors import UserError
from flows.storage.errors import StorageError

# The names of files that are still being written begin with this. They are never listed and never keys.
TEMPORARY = ".attgan-put-"

logger = logging.getLogger(__name__)


def walk(root: str, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """The regular files below ``root`` as ``(key, stat)``, sorted by the keys' UTF-8 bytes.

    Python compares strings by code point, which is the order of their UTF-8 bytes. A folder is sorted by its name with
    a slash (``a-b`` < ``a/b`` < ``a0``). Only the names of one folder per level are in memory. Symbolic links to files
    inside ``root`` count as files. Links to folders and links that lead outside are not followed. A missing ``root`` is
    empty.

    Raises:
        UserError: a name is not UTF-8.
        StorageError: a folder cannot be read.
    """
    links = 0
    base = prefix[: prefix.rfind("/") + 1]
    if any(segment in ("", ".", "..") for segment in base.split("/")[:-1]) or "\0" in prefix:
        # No key has such a prefix.
        return
    folders = [(base, iter(_names(root, base)))] if _is_inside(root, base) else []
    while folders:
        folder, names = folders[-1]
        name = next(names, None)
        if name is None:
            folders.pop()
            continue
        key = folder + name
        if name.endswith("/"):
            if key.startswith(prefix) or prefix.startswith(key):
                folders.append((key, iter(_names(root, key))))
        elif key.startswith(prefix):
            found = _regular_file(root, key)
            if found is None:
                links += os.path.islink(os.path.join(root, key))
            else:
                yield key, found
    if links:
        logger.warning("%s: %d symbolic links that lead outside or to folders were not followed", root, links)


def _names(root: str, folder: str) -> list[str]:
    """The names in a folder, sorted as parts of keys. Names of folders end in a slash."""
    names = []
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if entry.name.startswith(TEMPORARY):
                    continue
                try:
                    entry.name.encode()
                except UnicodeEncodeError:
                    raise UserError(
                        "file-name-not-utf8",
                        f"{os.path.join(root, folder)!r}: the file name {os.fsencode(entry.name)!r} is not UTF-8; "
                        "rename it, because keys are text",
                    ) from None
                names.append(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)
    except (FileNotFoundError, NotADirectoryError):
        # The folder was removed meanwhile, or never existed.
        return []
    except OSError as error:
        raise StorageError(f"{os.path.join(root, folder)}: cannot be listed: {error.strerror}") from None
    names.sort()
    return names


def _regular_file(root: str, key: str) -> os.stat_result | None:
    """The stat of a regular file; None if it is gone, is not a regular file, or is a link that leads outside."""
    path = os.path.join(root, key)
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            if not is_below(os.path.realpath(path), root):
                return None
            found = os.stat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _is_inside(root: str, folder: str) -> bool:
    """Whether the path of ``folder`` has no symbolic links, and is the one under which it is listed."""
    path = os.path.join(root, folder).rstrip("/") or "/"
    return os.path.realpath(path) == path


def is_below(path: str, root: str) -> bool:
    """Whether ``path`` is ``root`` or lies below it. Both are absolute and without links."""
    return path == root or path.startswith(root.rstrip("/") + "/")
