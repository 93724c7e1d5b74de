"""The cache of what is done: a sorted Parquet file, and ``done.json``, which names it and the ledgers that it includes.

``done.json`` is only replaced by compare-and-swap, and the file that it names never changes. Files that it does not
name do not count. All of it may be deleted at any time.
"""

from __future__ import annotations

import secrets
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.storage import PreconditionFailed, Store

INDEX = "done.json"
_FILES = "done-"
_COPY_BYTES = 8 * 2**20
_ABANDONED = timedelta(days=1)


class Index(BaseModel):
    """The content of ``done.json``; without arguments that of no cache.

    Attributes:
        file: name of the Parquet file, with its ``size`` in bytes and its ``rows``.
        runs: the runs whose ledgers it includes, and how many ledgers each had. A retry adds to them.
        former: ETag of the former version's state that it includes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    file: str = ""
    size: int = 0
    rows: int = 0
    runs: dict[str, int] = {}
    former: str | None = None


def read(store: Store, target: Path) -> tuple[Index, str | None]:
    """Copy the cache's file to a local path.

    Returns:
        What it includes, which is nothing if anything of it is missing or damaged; and the ETag of ``done.json``.
    """
    etag = None
    try:
        found = store.get(INDEX)
        etag = found.etag
        index = Index.model_validate_json(found.data)
        filesystem, folder = store.filesystem()
        with filesystem.open_input_stream(f"{folder}/{index.file}") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, _COPY_BYTES)
    except (FileNotFoundError, ValidationError):
        return Index(), etag
    return index if target.stat().st_size == index.size else Index(file=index.file), etag


def replace(store: Store, before: Index, etag: str | None, path: Path, after: Index) -> None:
    """Put a local file in the place of the cache that was read, unless another command was faster.

    Args:
        store: the lineage's folder.
        before, etag: what :func:`read` returned.
        path: the new file.
        after: what it includes. Its ``file`` and ``size`` are filled in here.

    Raises:
        StorageError: the storage failed after its retries. The cache is unchanged or replaced.
    """
    # The name is random, so no other command writes to this key.
    name = f"{_FILES}{secrets.token_hex(8)}.parquet"
    filesystem, folder = store.filesystem()
    filesystem.create_dir(folder, recursive=True)
    with path.open("rb") as source, filesystem.open_output_stream(f"{folder}/{name}") as copy:
        shutil.copyfileobj(source, copy, _COPY_BYTES)
    index = after.model_copy(update={"file": name, "size": path.stat().st_size})
    data = index.model_dump_json(indent=1).encode()
    try:
        store.put(INDEX, data, create_only=etag is None, if_match=etag)
    except (FileExistsError, PreconditionFailed):
        if not _is_there(store, data):
            store.delete(name)
            return
    # Also what killed commands have left behind. The time by the storage's clock: the new file is the newest.
    found = list(store.list(_FILES))
    now = max(info.modified for info in found)
    for info in found:
        # A file that another command is about to name is young.
        if info.key == before.file or (info.key != name and now - info.modified > _ABANDONED):
            store.delete(info.key)


def _is_there(store: Store, data: bytes) -> bool:
    """Whether the index is ours: an earlier attempt at the put had succeeded, and only its answer was lost."""
    try:
        return store.get(INDEX).data == data
    except FileNotFoundError:
        return False
