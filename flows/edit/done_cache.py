"""The cache of what is done: a sorted Parquet file, and ``done.json``, which names it and the ledgers that it includes.

``done.json`` is only replaced by compare-and-swap, and the file that it names never changes. Files that it does not
name do not count. All of it may be deleted at any time.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.edit.done_rows import FORMER_INDEX
from flows.storage import PreconditionFailed, Store

INDEX = "done.json"
_FILES = "done-"
_COPY_BYTES = 8 * 2**20
_ABANDONED = timedelta(days=1)


class _Index(BaseModel):
    """The content of ``done.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    file: str
    size: int
    rows: int
    runs: dict[str, int]
    former: str | None


@dataclass(frozen=True)
class Cache:
    """A cache that was read.

    Attributes:
        rows: 0 if there is none, or none that this version can use.
        runs: the runs whose ledgers it includes, and how many ledgers each had. A retry adds to them.
        former: ETag of the former version's state that it includes.
        file: the file that ``done.json`` names.
        etag: of ``done.json``; None if there is none.
    """

    rows: int
    runs: dict[str, int]
    former: str | None
    file: str | None
    etag: str | None


def read(store: Store, target: Path) -> Cache:
    """Copy the cache's file to a local path, unless ``done.json`` or the file is missing or damaged."""
    etag = None
    try:
        found = store.get(INDEX)
        etag = found.etag
        index = _Index.model_validate_json(found.data)
        filesystem, folder = store.filesystem()
        with filesystem.open_input_stream(f"{folder}/{index.file}") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, _COPY_BYTES)
    except (FileNotFoundError, ValidationError):
        return Cache(0, {}, None, None, etag)
    if target.stat().st_size != index.size:
        return Cache(0, {}, None, index.file, etag)
    return Cache(index.rows, index.runs, index.former, index.file, etag)


def former_etag(store: Store) -> str | None:
    """The ETag of the state that a former version wrote; None if there is none."""
    try:
        return store.head(FORMER_INDEX).etag
    except FileNotFoundError:
        return None


def replace(
    store: Store, cache: Cache, path: Path, rows: int, runs: Mapping[str, int], former: str | None
) -> None:
    """Put a local file in the place of the cache that was read, unless another command was faster.

    Args:
        store: the lineage's folder.
        cache: what was read.
        path: the new file.
        rows: in the file.
        runs, former: as in :class:`Cache`.

    Raises:
        StorageError: the storage failed after its retries. The cache is unchanged or replaced.
    """
    # The name is random, so no other command writes to this key.
    name = f"{_FILES}{secrets.token_hex(8)}.parquet"
    filesystem, folder = store.filesystem()
    filesystem.create_dir(folder, recursive=True)
    with path.open("rb") as source, filesystem.open_output_stream(f"{folder}/{name}") as copy:
        shutil.copyfileobj(source, copy, _COPY_BYTES)
    index = _Index(file=name, size=path.stat().st_size, rows=rows, runs=dict(runs), former=former)
    data = index.model_dump_json(indent=1).encode()
    try:
        store.put(INDEX, data, create_only=cache.etag is None, if_match=cache.etag)
    except (FileExistsError, PreconditionFailed):
        # It is ours if an earlier attempt had succeeded, and only its answer was lost.
        if store.get(INDEX).data != data:
            store.delete(name)
            return
    _delete_old(store, name, cache.file)


def _delete_old(store: Store, current: str, replaced: str | None) -> None:
    """Delete the replaced file, and those that killed commands have left behind."""
    found = list(store.list(_FILES))
    # The time by the storage's clock: the current file is the newest.
    now = max(info.modified for info in found)
    for info in found:
        # A file that another command is about to name is young.
        if info.key == replaced or (info.key != current and now - info.modified > _ABANDONED):
            store.delete(info.key)
