"""Lists a directory in the order in which S3 lists keys."""

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator

from attgan.errors import UserError
from flows.storage.errors import StorageError

# The names of files that are still being written begin with this. They are never listed and never keys.
TEMPORARY = ".attgan-put-"

logger = logging.getLogger(__name__)


def walk(
    root: str, prefix: str = "", passed_over: Callable[[str, str], None] | None = None
) -> Iterator[tuple[str, os.stat_result | str]]:
    """The regular files below ``root`` as ``(key, stat)``, sorted by the keys' UTF-8 bytes.

    Python compares strings by code point, which is the order of their UTF-8 bytes. A folder is sorted by its name with
    a slash (``a-b`` < ``a/b`` < ``a0``). Only the names of one folder per level are in memory. Symbolic links to files
    inside ``root`` count as files. Links to folders and links that lead outside are not followed. A missing ``root`` is
    empty.

    Args:
        root: the directory.
        prefix: of the keys.
        passed_over: receives the keys of links, pipes and the like, and why they are no files. With it, a file or
            folder that cannot be read does not end the walk, but has the reason in place of its stat.

    Raises:
        UserError: a name is not UTF-8, and there is no ``passed_over``.
        StorageError: a folder cannot be read, and there is no ``passed_over`` or the folder is ``root``.
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
        key = folder + _as_text(name)
        if not key.startswith(prefix) and not (name.endswith("/") and prefix.startswith(key)):
            continue
        found: os.stat_result | str | None
        try:
            if name.startswith(TEMPORARY):
                raise _NotAFile("unfinished write")
            if key != folder + name:
                raise _not_utf8(root, folder, name)
            if name.endswith("/"):
                folders.append((key, iter(_names(root, key))))
                continue
            found = _file(root, key)
        except _NotAFile as why:
            links += os.path.islink(os.path.join(root, key))
            if passed_over is not None:
                passed_over(key, str(why))
            continue
        except (_Unreadable, UserError) as error:
            if passed_over is None:
                raise
            found = str(error).removeprefix(f"{os.path.join(root, key)}: ")
            if isinstance(error, UserError):
                found = "the name is not UTF-8"
        if found is not None:
            yield key, found
    if links and passed_over is None:
        logger.warning("%s: %d symbolic links that lead outside or to folders were not followed", root, links)


class _Unreadable(StorageError):
    """A file or folder is there, and cannot be looked at. The message ends in the reason."""


class _NotAFile(Exception):
    """What has this key is no regular file of the directory. The message says what it is."""


def _names(root: str, folder: str) -> list[str]:
    """The names in a folder, sorted as parts of keys. Names of folders end in a slash.

    Raises:
        StorageError: the folder cannot be listed.
    """
    path = os.path.join(root, folder)
    try:
        with os.scandir(path) as entries:
            names = [
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries
            ]
    except (FileNotFoundError, NotADirectoryError):
        # The folder was removed meanwhile, or never existed.
        return []
    except OSError as error:
        raise _failure(path, error) from None
    return sorted(names, key=_as_text)


def _as_text(name: str) -> str:
    """A name as text: bytes that are not UTF-8 as ``\\xe9``."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _not_utf8(root: str, folder: str, name: str) -> UserError:
    return UserError(
        "file-name-not-utf8",
        f"{os.path.join(root, folder)!r}: the file name {os.fsencode(name)!r} is not UTF-8; "
        "rename it, because keys are text",
    )


def _failure(path: str, error: OSError) -> StorageError:
    alone = error.errno in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
    return (_Unreadable if alone else StorageError)(f"{path}: cannot be read: {error.strerror}")


def _file(root: str, key: str) -> os.stat_result | None:
    """The stat of a regular file; None if it is gone.

    Raises:
        _NotAFile: it is not a regular file, or a link that leads outside or nowhere.
        StorageError: it cannot be looked at.
    """
    path = os.path.join(root, key)
    try:
        found = os.lstat(path)
        if is_link := stat.S_ISLNK(found.st_mode):
            if not is_below(os.path.realpath(path), root):
                raise _NotAFile("link that leads out of the folder")
            found = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            if os.path.islink(path):
                raise _NotAFile("link to nothing") from None
            return None
        raise _failure(path, error) from None
    if not stat.S_ISREG(found.st_mode):
        raise _NotAFile("link to a folder" if is_link else "neither a file nor a folder")
    return found


def _is_inside(root: str, folder: str) -> bool:
    """Whether the path of ``folder`` has no symbolic links, and is the one under which it is listed."""
    path = os.path.join(root, folder).rstrip("/") or "/"
    return os.path.realpath(path) == path


def is_below(path: str, root: str) -> bool:
    """Whether ``path`` is ``root`` or lies below it. Both are absolute and without links."""
    return path == root or path.startswith(root.rstrip("/") + "/")
