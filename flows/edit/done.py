"""What is done: the inputs that the ledgers of a lineage's finished runs record, compared with a listing by DuckDB.

The ledgers are the truth. Next to them there is a cache of what they say (:mod:`flows.edit.done_cache`): one row for
each key, in key order. It is rewritten when the ledgers that it lacks exceed a tenth of its rows; until then both are
read. Of the rows of a key the one that was written last counts.

DuckDB reads nothing but files in a temporary folder, so it needs no credentials.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.edit import done_cache
from flows.edit.done_rows import SCHEMA, former_etag, former_rows, ledger_rows
from flows.edit.run import STATE
from flows.edit.runs import RunFiles
from flows.storage import ObjectInfo, join, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The cache is rewritten when it lacks more than its rows divided by this.
_REWRITE = 10
# Of DuckDB alone. What does not fit is spilled to the temporary folder.
_MEMORY = "350MB"
# Of a sorted file. A range of keys is read by whole groups.
_GROUP_ROWS = 8_192
# Of equal keys the row that was written last. arg_max_null also takes a NULL from it.
_NEWEST = """
    SELECT key, arg_max_null(etag, written) AS etag, arg_max_null(output_etag, written) AS output_etag,
        arg_max_null(status, written) AS status, max(written) AS written
    FROM {} GROUP BY key
"""


class Done:
    """The finished inputs of a lineage, in sorted files of which a range of keys is read at a time."""

    def __init__(self, connection: DuckDBPyConnection, paths: Iterable[Path]) -> None:
        self._connection = connection
        self._files = [_SortedFile(path) for path in paths]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is done."""
        return not self._files

    def not_done(self, inputs: Sequence[ObjectInfo], *, redo: bool = False) -> list[tuple[int, str | None]]:
        """Find the inputs that are not done, or have changed since; with ``redo`` all of them.

        Args:
            inputs: at least one, in key order: a part of the listing that fits in memory.
            redo: whether to find inputs that are done, too.

        Returns:
            For each one its position in ``inputs``, and the ETag of the output that was made of its earlier content.
        """
        keys = [info.key for info in inputs]
        listed = {"position": np.arange(len(keys)), "key": keys, "etag": [info.etag for info in inputs]}
        self._register_done(keys[0], keys[-1])
        self._connection.register("listed", pa.table(listed, schema=_LISTED))
        query = f"""
            SELECT position, newest.output_etag FROM listed LEFT JOIN ({_NEWEST.format("done")}) AS newest USING (key)
            WHERE ? OR newest.etag IS DISTINCT FROM listed.etag ORDER BY position
        """
        return self._connection.execute(query, [redo]).fetchall()

    def rows(self) -> list[tuple[str, str, str | None, str]]:
        """Key, ETag, output's ETag and status of every finished input, in key order: all of them in memory."""
        self._register_done(None, None)
        query = f"SELECT key, etag, output_etag, status FROM ({_NEWEST.format('done')}) ORDER BY key"
        return self._connection.execute(query).fetchall()

    def _register_done(self, first: str | None, last: str | None) -> None:
        tables = [file.read(first, last) for file in self._files]
        self._connection.register("done", pa.concat_tables([SCHEMA.empty_table(), *tables]))


_LISTED = pa.schema([("position", pa.int64()), ("key", pa.string()), ("etag", pa.string())])


class _SortedFile:
    """A Parquet file of :data:`SCHEMA`, sorted by key."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False)
        groups = (self._file.metadata.row_group(number) for number in range(self._file.num_row_groups))
        statistics = [group.column(0).statistics for group in groups]
        self._ranges = [(keys.min, keys.max) if keys and keys.has_min_max else None for keys in statistics]

    def read(self, first: str | None, last: str | None) -> pa.Table:
        """The row groups that may have keys from ``first`` to ``last``, or beyond where one is None."""
        groups = [
            number
            for number, keys in enumerate(self._ranges)
            if keys is None or ((first is None or keys[1] >= first) and (last is None or keys[0] <= last))
        ]
        return self._file.read_row_groups(groups, use_threads=False).cast(SCHEMA)


@contextlib.contextmanager
def open_done(
    destination: str,
    lineage: str,
    runs: Sequence[RunFiles],
    closing: Collection[str] = (),
    *,
    may_write: bool = True,
) -> Iterator[Done]:
    """Fetch what is done at a destination to a temporary folder, and rewrite the cache if it lacks too much.

    Args:
        destination: of the runs.
        lineage: of the runs.
        runs: all of this lineage, in the order in which they began.
        closing: ids of unfinished ones whose ledgers count too, except for failed inputs.
        may_write: whether the cache may be rewritten.

    Raises:
        UserError: the state that a former version wrote is damaged.
        StorageError: the storage failed after its retries.
    """
    store = open_store(join(destination, STATE, lineage), option="--destination")
    with tempfile.TemporaryDirectory(prefix="attgan-done-") as temporary, _connect(temporary) as connection:
        folder = Path(temporary)
        cache, etag = done_cache.read(store, folder / "cache")
        finished = {run.run_id: len(run.ledgers) for run in runs if run.is_reported}
        lacking = {run_id for run_id, ledgers in finished.items() if cache.runs.get(run_id) != ledgers}
        former = former_etag(store)
        tables = [ledger_rows(destination, runs, lacking)]
        if former not in (None, cache.former):
            tables.append(former_rows(store))
        paths = [folder / "cache"] if cache.rows else []
        new = _write(tables, folder / "new")
        if new * _REWRITE > cache.rows:
            rows = _sort(connection, [*paths, folder / "new"], folder / "merged")
            paths = [folder / "merged"]
            if may_write:
                now = done_cache.Index(rows=rows, runs=cache.runs | finished, former=former)
                done_cache.replace(store, cache, etag, paths[0], now)
        elif new:
            _sort(connection, [folder / "new"], folder / "recent")
            paths.append(folder / "recent")
        if _write([ledger_rows(destination, runs, closing)], folder / "held"):
            _sort(connection, [folder / "held"], folder / "closing")
            paths.append(folder / "closing")
        yield Done(connection, paths)


def _connect(folder: str) -> DuckDBPyConnection:
    # Imported here because workers import this module, and only the flow's process plans.
    import duckdb

    return duckdb.connect(
        config={
            "memory_limit": _MEMORY,
            "temp_directory": folder,
            "threads": 1,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


def _write(tables: Iterable[Iterable[pa.Table]], path: Path) -> int:
    """Write tables to a Parquet file; returns the number of rows."""
    rows = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in (table for source in tables for table in source):
            writer.write_table(table)
            rows += len(table)
    return rows


def _sort(connection: DuckDBPyConnection, sources: Sequence[Path], target: Path) -> int:
    """Write the newest row of each key in key order; returns the number of rows."""
    query = f"{_NEWEST.format('read_parquet(?)')} ORDER BY key"
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS}"
    connection.execute(f"COPY ({query}) TO '{target}' ({options})", [[str(path) for path in sources]])
    rows: int = pq.read_metadata(target).num_rows
    return rows
