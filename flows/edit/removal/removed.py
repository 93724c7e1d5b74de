"""The record of removed outputs: their rows in the ledgers no longer count, and the next run plans their images again.

Ledgers never change. A record is an object ``_runs/removed-….parquet``, which is never changed either. Each of its rows
is the newest one of its key in a lineage, until a later ledger has the key again. A row without a source ETag means
that the key is not done. It is written before its output is deleted and keeps the output's ETag, so that whoever finds
it after a crash can delete the output still. A second record, without that ETag, follows the deletion.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attgan.data.column_reader import read_table
from flows.edit.lease import LEASE
from flows.edit.run import RUN_FILE, RUNS, EditRun
from flows.storage import Store, join, open_store

_PREFIX = "removed-"
SCHEMA = pa.schema(
    [
        ("lineage", pa.string()),
        ("key", pa.string()),
        ("output_key", pa.string()),
        ("output_etag", pa.string()),
        # In microseconds, as the times of ledgers.
        ("written", pa.int64()),
        ("why", pa.string()),
    ]
)


class Removed(NamedTuple):
    """A row of a record. ``output_etag`` is None once the output is gone, or if there was none."""

    lineage: str
    key: str
    output_key: str | None
    output_etag: str | None
    written: int
    why: str


def write_removed(runs: Store, rows: Iterable[Removed]) -> None:
    """Write a record of at least one row, below the folder of all runs."""
    columns = zip(*rows, strict=True)
    table = pa.table(list(map(list, columns)), schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    runs.put(f"{_PREFIX}{secrets.token_hex(8)}.parquet", buffer.getvalue(), create_only=True)


def list_removed(runs: Store, after: datetime | None = None) -> list[str]:
    """The keys of the records below the folder of all runs: of all, or of those that were written after a time."""
    return [
        info.key
        for info in runs.list(_PREFIX)
        if "/" not in info.key and (after is None or info.modified > after)
    ]


def read_removed(runs: Store, keys: Iterable[str], lineage: str) -> Iterator[pa.Table]:
    """The rows of a lineage in records: the columns of :data:`SCHEMA`."""
    for key in keys:
        table = read_table(pa.BufferReader(runs.get(key).data), SCHEMA.names)
        yield table.filter(pc.equal(table["lineage"], lineage))


def removed_since_it_began(run: EditRun) -> set[str]:
    """The keys of a run's lineage whose outputs were removed after the run had begun. Nothing shows them again."""
    runs = open_store(join(run.settings.destination, RUNS), option="--destination")
    began = runs.head(f"{run.run_id}/{RUN_FILE}").modified
    found: set[str] = set()
    for table in read_removed(runs, list_removed(runs, after=began), run.lineage):
        # Undo writes rows with the time of an earlier ledger.
        later = pc.greater(table["written"], int(began.timestamp() * 1e6))
        found.update(table.filter(later)["key"].to_pylist())
    return found


def time_of_removal(destination: Store, runs: int) -> int:
    """The time for the rows of a record: when the lease was last renewed, by the storage's clock.

    The holder of the lease knows that no ledger of another command is newer. S3 gives whole seconds, and within one the
    times of ledgers differ by the number of their run: the removal comes after all of these.

    Args:
        destination: whose lease the caller holds.
        runs: the number of runs there.
    """
    return int(destination.head(LEASE).modified.timestamp() * 1e6) + runs
