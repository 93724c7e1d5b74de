"""The ledgers of a run's folder: which shards have one, and how it is written and read.

A shard has one ledger per generation: number 0 for the run itself, and one more for each retry of its failed inputs.
The ledger with the highest number is valid, and has all of the shard's rows.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attgan.data.column_reader import read_table
from flows.edit.ledger.summary import Failure, SampledImage, Summary
from flows.edit.ledger.table import SCHEMA, Row
from flows.storage import Store

# Ledgers that are read at a time.
_PARALLEL = 16

LEDGER = re.compile(r"ledger/(\d+)\.\d+\.parquet")


def ledger_key(shard: int, generation: int) -> str:
    """The key of a shard's ledger below the run's folder."""
    return f"ledger/{shard:05d}.{generation:04d}.parquet"


def write_ledger(run: Store, rows: Sequence[Row], summary: Summary) -> Summary:
    """Write a shard's ledger, create-only; returns the summary of the ledger that counts.

    If another attempt at the shard was faster, that is the other attempt's.
    """
    table = pa.table({name: [getattr(row, name) for row in rows] for name in SCHEMA.names}, schema=SCHEMA)
    table = table.replace_schema_metadata({"summary": json.dumps(asdict(summary))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    key = ledger_key(summary.shard, summary.generation)
    try:
        run.put(key, buffer.getvalue(), create_only=True, content_type="application/vnd.apache.parquet")
    except FileExistsError:
        return read_summary(run, key)
    return summary


def finished_shards(run: Store) -> dict[int, str]:
    """The key of the valid ledger of each finished shard."""
    ledgers: dict[int, str] = {}
    # Keys come in order, so a later generation replaces an earlier one.
    for info in run.list("ledger/"):
        if match := LEDGER.fullmatch(info.key):
            ledgers[int(match[1])] = info.key
    return ledgers


def read_summary(run: Store, key: str) -> Summary:
    """Read only a ledger's summary, from the metadata in the Parquet footer."""
    metadata = pq.read_schema(pa.BufferReader(run.get(key).data)).metadata
    fields: dict[str, Any] = json.loads(metadata[b"summary"])
    fields["failures"] = [Failure(*failure) for failure in fields["failures"]]
    fields["sample"] = [SampledImage(*image) for image in fields["sample"]]
    return Summary(**fields)


def read_summaries(run: Store, keys: Iterable[str]) -> list[Summary]:
    """Read the summaries of several ledgers, in their order."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(partial(read_summary, run), keys))


def read_rows(run: Store, key: str) -> pa.Table:
    """Read a whole ledger: the columns of :class:`Row`, in the order of the plan."""
    return read_table(pa.BufferReader(run.get(key).data))
