"""What is done: which inputs the ledgers of a lineage record. DuckDB compares them with a listing.

The ledgers are the truth. ``_state/<lineage>/`` has a cache of them, which may be deleted at any time: a Parquet file
with the newest row of each key, in key order, and ``done.json``, which names it and the ledgers that it includes.
``done.json`` is only replaced by compare-and-swap, when the ledgers that the cache lacks have more than a tenth of its
rows. Until then both are read. Records of removed outputs count like ledgers (:mod:`flows.edit.removal.removed`).

DuckDB reads nothing but copies in a temporary folder, so it needs no credentials. What exceeds its memory goes there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.data.column_reader import read_table
from attgan.errors import UserError
from flows.edit.plan.runs import ListedRun
from flows.edit.removal.removed import list_removed, read_removed
from flows.storage import ObjectInfo, PreconditionFailed, Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

INDEX = "done.json"
# Of the merge tree that earlier versions kept instead.
_FORMER_INDEX = "index.json"

# The cache is rewritten when the ledgers that it lacks have more rows than this share of its own.
_REWRITE_SHARE = 0.1
# Of DuckDB alone.
_MEMORY = "100MB"
# Of a sorted file. A range of keys is read in whole groups.
_GROUP_ROWS = 20_480
# Ledgers that are read at a time, and so in memory.
_PARALLEL = 4

# ``written`` is when the ledger was written, in microseconds. Of a key's rows the latest counts. A row without an ETag
# says that the key is no longer done.
_SCHEMA = pa.schema([("key", "string"), ("etag", "string"), ("output_etag", "string"), ("written", "int64")])

# Of a key's rows. An output stays where it is while later contents of its input fail, until it is removed.
_SUMMED = """
    key,
    arg_max_null(etag, written) AS etag,
    arg_max_null(output_etag, written) FILTER (output_etag IS NOT NULL OR etag IS NULL) AS output_etag
"""
# Few keys have several rows, so only these are summed.
_NEWEST = f"""
    WITH repeated AS (SELECT key FROM found GROUP BY key HAVING count(*) > 1)
    SELECT * FROM found ANTI JOIN repeated USING (key)
    UNION ALL
    SELECT {_SUMMED}, max(written) AS written FROM found SEMI JOIN repeated USING (key) GROUP BY key
    ORDER BY key
"""
_DONE = f"SELECT {_SUMMED} FROM sorted GROUP BY key"
_NOT_DONE = """
    SELECT listed.key, done.output_etag
    FROM listed LEFT JOIN (FROM done WHERE key BETWEEN $first AND $last) AS done USING (key)
    WHERE $redo OR done.etag IS DISTINCT FROM listed.etag
"""


class _Cache(BaseModel):
    """The content of ``done.json``.

    Attributes:
        file: name of the Parquet file, which holds its digest.
        includes: the ledgers and records of removed outputs that it includes, as keys below ``_runs/``, and the files
            of the former merge tree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    file: str
    includes: frozenset[str]


def not_done(
    done: DuckDBPyConnection, inputs: Sequence[ObjectInfo], *, redo: bool = False
) -> dict[str, str | None]:
    """Find the inputs that are not done, or have changed since; with ``redo`` all of them.

    Args:
        done: from :func:`open_done`.
        inputs: at least one, in key order: a part of the listing that fits in memory.
        redo: whether to find inputs that are done, too.

    Returns:
        Their keys, each with the ETag of the output that was made of its earlier content.
    """
    keys = [info.key for info in inputs]
    done.register("listed", pa.table({"key": keys, "etag": [info.etag for info in inputs]}))
    found = done.execute(_NOT_DONE, {"first": keys[0], "last": keys[-1], "redo": redo})
    return dict(found.fetchall())


@contextlib.contextmanager
def open_done(
    state: Store, runs: Sequence[ListedRun], *, may_write: bool = True
) -> Iterator[DuckDBPyConnection]:
    """Copy what is done into a temporary folder, and rewrite the cache if it lacks too much.

    The ledgers of unfinished runs count, too, but for their failed inputs.

    Args:
        state: the lineage's folder ``_state/<lineage>``.
        runs: all of the lineage, in the order in which they began.
        may_write: whether the cache may be rewritten.

    Yields:
        A connection with the view ``done``: key, ETag, and the output's ETag, which is null without an output. The
        ETag of a key whose output was removed is null.

    Raises:
        UserError: the merge tree of an earlier version is damaged.
        StorageError: the storage failed after its retries.
    """
    # Imported here because workers import this module, and only the flow's process plans.
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="attgan-done-") as folder,
        duckdb.connect(
            config={"memory_limit": _MEMORY, "temp_directory": folder, "threads": 1}
        ) as connection,
    ):
        cached, lacking, unfinished, rewritten, beside = (f"{folder}/{part}.parquet" for part in range(5))
        cache, etag = _read_cache(state, cached)
        removed = list_removed(runs[0].runs) if runs else []
        settled = _Settled(state, runs, _former_files(state), removed)
        rows = _write(settled.read(cache), lacking)
        _write(_read([run for run in runs if not run.is_finished], cache), unfinished)
        if rows <= _REWRITE_SHARE * pq.read_metadata(cached).num_rows:
            _sort(connection, [lacking, unfinished], beside)
        else:
            _sort(connection, [cached, lacking], rewritten)
            if may_write:
                _replace_cache(state, etag, rewritten, settled.keys)
            cached = rewritten
            _sort(connection, [unfinished], beside)
        connection.read_parquet([cached, beside]).create_view("sorted")
        connection.sql(_DONE).create_view("done")
        yield connection


class _Settled(NamedTuple):
    """What a cache may include, because it does not change any more.

    Attributes:
        state: the lineage's folder.
        runs: all of the lineage. The ledgers of those that have finished are settled.
        former: the files there of the merge tree that earlier versions kept, the oldest first.
        removed: the records of removed outputs, as keys below the folder of all runs.
    """

    state: Store
    runs: Sequence[ListedRun]
    former: list[str]
    removed: list[str]

    @property
    def finished(self) -> list[ListedRun]:
        """The finished runs."""
        return [run for run in self.runs if run.is_finished]

    @property
    def keys(self) -> frozenset[str]:
        """All of it, as a cache names what it includes."""
        return frozenset(chain(self.former, self.removed, *(run.ledgers for run in self.finished)))

    def read(self, cache: _Cache) -> Iterator[pa.Table]:
        """Yield the rows that the cache lacks."""
        yield from _read_former(self.state, self.former, cache)
        yield from _read(self.finished, cache)
        yield from _read_removed(self.runs, [key for key in self.removed if key not in cache.includes])


def _sort(connection: DuckDBPyConnection, sources: list[str], target: str) -> None:
    """Write one row for each key, in key order."""
    connection.read_parquet(sources).create_view("found")
    connection.sql(_NEWEST).write_parquet(target, compression="zstd", row_group_size=_GROUP_ROWS)


def _read(runs: Iterable[ListedRun], cache: _Cache) -> Iterator[pa.Table]:
    """Yield the rows of the ledgers that the cache lacks."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for run in runs:
            if lacking := sorted(run.ledgers.keys() - cache.includes):
                read = partial(_read_ledger, run, run.is_finished and run.failed() > 0)
                for first in range(0, len(lacking), _PARALLEL):
                    yield pa.concat_tables(pool.map(read, lacking[first : first + _PARALLEL]))


def _read_ledger(run: ListedRun, with_failed: bool, key: str) -> pa.Table:
    """The outcomes that a ledger was the first to record. That of a retry repeats the others of its shard."""
    columns = ["key", "source_etag", "output_etag", "generation", "status"]
    table = read_table(pa.BufferReader(run.runs.get(key).data), columns)
    first = pc.field("generation") == pc.max(table["generation"])
    counts = first if with_failed else first & (pc.field("status") != "failed")
    return _with_time(table.filter(counts).select(columns[:3]), run.ledgers[key])


def _read_removed(runs: Sequence[ListedRun], keys: Iterable[str]) -> Iterator[pa.Table]:
    """Yield the rows of records of removed outputs: keys that are not done."""
    if runs:
        for table in read_removed(runs[0].runs, keys, runs[0].run.lineage):
            etags = pa.nulls(len(table), pa.string())
            yield pa.table([table["key"], etags, table["output_etag"], table["written"]], schema=_SCHEMA)


def _read_former(store: Store, files: Sequence[str], cache: _Cache) -> Iterator[pa.Table]:
    """Yield the rows of the former merge tree. They are older than those of any ledger that still exists."""
    for number, file in enumerate(files):
        if file not in cache.includes:
            table = read_table(pa.BufferReader(store.get(file).data), ["key", "etag", "output_etag"])
            yield _with_time(table, number)


def _former_files(store: Store) -> list[str]:
    """The files of the merge tree that earlier versions wrote, the oldest first.

    Raises:
        UserError: its index is damaged.
    """
    try:
        index = json.loads(store.get(_FORMER_INDEX).data)
        return [file for layer in index["layers"] for file in layer["files"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        raise UserError(
            "state-foreign",
            f"{store.url}/{_FORMER_INDEX}: is not a state that this version knows; it is left alone",
        ) from None


def _with_time(table: pa.Table, written: int) -> pa.Table:
    return pa.table([*table.columns, pa.repeat(written, len(table))], schema=_SCHEMA)


def _write(tables: Iterable[pa.Table], path: str) -> int:
    """Write tables to a Parquet file; returns the number of rows."""
    rows = 0
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            rows += len(table)
    return rows


def _read_cache(store: Store, path: str) -> tuple[_Cache, str | None]:
    """Copy the cache's file; an empty one if anything of the cache is missing, damaged or of another version.

    Returns:
        What it includes, and the ETag of ``done.json``.
    """
    etag = None
    try:
        data, etag, _ = store.get(INDEX)
        cache = _Cache.model_validate_json(data)
        filesystem, folder = store.filesystem()
        fs.copy_files(f"{folder}/{cache.file}", path, filesystem, fs.LocalFileSystem(), use_threads=False)
        if _name(path) == cache.file:
            return cache, etag
    except (FileNotFoundError, PreconditionFailed, ValidationError):
        pass
    _write([], path)
    return _Cache(file="", includes=frozenset()), etag


def _replace_cache(store: Store, etag: str | None, path: str, includes: frozenset[str]) -> None:
    """Put another cache in the place of the one whose ``done.json`` has this ETag, unless that was replaced."""
    cache = _Cache(file=_name(path), includes=includes)
    filesystem, folder = store.filesystem()
    filesystem.create_dir(folder, recursive=True)
    fs.copy_files(path, f"{folder}/{cache.file}", fs.LocalFileSystem(), filesystem, use_threads=False)
    try:
        store.put(INDEX, cache.model_dump_json(indent=1).encode(), create_only=etag is None, if_match=etag)
    except (FileExistsError, PreconditionFailed):
        # Another command was faster.
        return
    for info in list(store.list("done-")):
        if info.key != cache.file:
            store.delete(info.key)


def _name(path: str) -> str:
    with open(path, "rb") as file:
        return f"done-{hashlib.file_digest(file, 'sha256').hexdigest()}.parquet"
