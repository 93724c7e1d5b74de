"""The rows of what is done: read from ledgers, and from the state that former versions wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError

from attgan.data.column_reader import read_table
from attgan.errors import UserError
from flows.edit.ledger import ledger_key
from flows.edit.run import run_url
from flows.edit.runs import RunFiles, read_report, was_closed
from flows.storage import Store, open_store

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("etag", pa.string()),
        ("output_etag", pa.string()),
        ("status", pa.string()),
        # When the ledger that recorded the outcome first was written. Of equal keys the highest counts.
        ("written", pa.int64()),
    ]
)
_FORMER_INDEX = "index.json"

# Ledgers that are read at a time, and so in memory.
_PARALLEL = 8
_COLUMNS = ("key", "source_etag", "output_etag", "status", "generation")


def ledger_rows(destination: str, runs: Sequence[RunFiles], chosen: Collection[str]) -> Iterator[pa.Table]:
    """Yield a table of :data:`SCHEMA` for each valid ledger of the chosen runs.

    The failed inputs of a run that was closed, or has no report yet, are left out: the next run plans them again.

    Args:
        destination: of the runs.
        runs: in the order in which they began.
        chosen: ids of the runs to read.
    """
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for order, run in enumerate(runs):
            if run.run_id not in chosen:
                continue
            store = open_store(run_url(destination, run.run_id), option="--destination")
            with_failed = run.is_reported and not was_closed(read_report(destination, run.run_id))
            ledgers = iter(run.generations.items())
            while part := list(islice(ledgers, _PARALLEL)):
                reads = [pool.submit(_read, store, run, order, *ledger, with_failed) for ledger in part]
                yield from (read.result() for read in reads)


def _read(
    store: Store, run: RunFiles, order: int, shard: int, generation: int, with_failed: bool
) -> pa.Table:
    found = read_table(pa.BufferReader(store.get(ledger_key(shard, generation)).data), _COLUMNS)
    if not with_failed:
        found = found.filter(pc.not_equal(found["status"], "failed"))
    written = run.ledgers[shard, generation]
    # A retry's ledger repeats the rows of inputs that had not failed.
    times = pa.array(_at(run.ledgers.get((shard, first), written), order) for first in range(generation + 1))
    columns = [found[name] for name in _COLUMNS[:-1]]
    return pa.table([*columns, times.take(found["generation"].combine_chunks())], schema=SCHEMA)


def _at(written: datetime, order: int) -> int:
    """A time in microseconds. S3 gives whole seconds: within one, the run that began later counts."""
    return int(written.timestamp() * 1e6) + order


def former_etag(store: Store) -> str | None:
    """The ETag of the state that a former version wrote; None if there is none."""
    try:
        return store.head(_FORMER_INDEX).etag
    except FileNotFoundError:
        return None


class _FormerLayer(BaseModel):
    files: list[str]


class _FormerIndex(BaseModel):
    schema_version: Literal[1]
    layers: list[_FormerLayer]


def former_rows(store: Store) -> Iterator[pa.Table]:
    """Yield the rows of a state that a former version wrote: layers of sorted files, the oldest first.

    They are older than any ledger that still exists.

    Raises:
        UserError: its index is damaged.
    """
    try:
        index = _FormerIndex.model_validate_json(store.get(_FORMER_INDEX).data)
    except ValidationError:
        raise UserError(
            "state-foreign",
            f"{store.url}/{_FORMER_INDEX}: is not a state that this version knows; it is left alone",
        ) from None
    for number, layer in enumerate(index.layers):
        for file in layer.files:
            table = read_table(pa.BufferReader(store.get(file).data))
            yield table.append_column("written", pa.array([number] * len(table), pa.int64())).cast(SCHEMA)
