"""What the runs so far have settled, so that the next one plans only what is new or changed.

``_state/<lineage>/index.json``, replaced by compare-and-swap only, names layers, the oldest first. A layer is one
finished run's outcome, or several merged into one: Parquet files that are sorted by key and never change. What a file
that no index names holds is nothing. (A log-structured merge tree, whose layers come and go with whole runs.)
"""

from __future__ import annotations

import heapq
import io
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import chain, islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.data.column_reader import read_table
from attgan.errors import UserError
from flows.edit.ledger import Status
from flows.storage import PreconditionFailed, Store

STATE = "_state"
INDEX = "index.json"
FILE_ROWS = 50_000  # read whole: this and the number of layers bound the memory of a reader
MOST_LAYERS = 16
_BATCH = 4096
_ABANDONED = timedelta(days=1)

SCHEMA = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("output_etag", pa.string()), ("status", pa.string())]
)


class Settled(NamedTuple):
    """An input that a run is done with: its key, the ETag it had, its output's (None without one), its fate."""

    key: str
    etag: str
    output_etag: str | None
    status: Status


class Layer(BaseModel):
    """Files of one sorted sequence, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: list[str]
    rows: int


class Ended(BaseModel):
    """A run that is in the state, after its failed inputs have been tried again so many times, shards added up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    retried: int
    failed: int


class Index(BaseModel):
    """The layers, the oldest first, and the runs that are in them, likewise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    runs: list[Ended] = []
    layers: list[Layer] = []


class State:
    """The state of one lineage (runs that want the same of the same source) at a destination.

    Args:
        store: the folder ``_state/<lineage>``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def settled(self) -> Iterator[Settled]:
        """Every input that a run is done with, once, as the newest run left it, in key order; streamed."""
        return self._merged(self._read()[0].layers)

    def failures(self) -> dict[str, int]:
        """How many inputs of each ended run have failed and were mended by no retry of it; the latest run last."""
        return {ended.run_id: ended.failed for ended in self._read()[0].runs}

    def add(self, run: Ended, rows: Callable[[], Iterable[Settled]]) -> None:
        """Take in a run's outcome, unless it is in already.

        Args:
            run: what to know it by.
            rows: called where they are needed: the inputs that it is done with, in key order, none twice.

        Raises:
            StorageError: the storage failed after its retries; the state is as it was, or has the run.
        """
        new: Layer | None = None
        while True:
            index, etag = self._read()
            if run in index.runs:
                return
            new = new or self._write(rows())
            layers = [*index.layers, new] if new.rows else index.layers
            swapped = self._swap(Index(runs=[*index.runs, run], layers=layers), etag)
            if swapped is not None:
                break
        if _is_ragged(layers):
            self._merge(Index(runs=[*index.runs, run], layers=layers), swapped)

    def _merge(self, index: Index, etag: str) -> None:
        """Make one layer of all, then remove what that replaced, and what commands that were killed have left."""
        merged = self._write(self._merged(index.layers))
        if self._swap(index.model_copy(update={"layers": [merged]}), etag) is None:
            return  # another command was faster: a later merge takes our files away
        replaced = {file for layer in index.layers for file in layer.files}
        found = list(self._store.list("layer-"))
        now = max(info.modified for info in found)  # by the storage's clock: our own layer's
        for info in found:
            # Another command's layer is not in an index yet, but then it is young.
            if info.key in replaced or (info.key not in merged.files and now - info.modified > _ABANDONED):
                self._store.delete(info.key)

    def _read(self) -> tuple[Index, str | None]:
        try:
            found = self._store.get(INDEX)
            return Index.model_validate_json(found.data), found.etag
        except FileNotFoundError:
            return Index(), None
        except ValidationError:
            raise UserError(
                "state-foreign",
                f"{self._store.url}/{INDEX}: is not a state of this version; it is left alone",
            ) from None

    def _swap(self, index: Index, etag: str | None) -> str | None:
        """Replace the index that has this ETag; the new one's, or None where it is another one by now."""
        data = index.model_dump_json(indent=1).encode()
        try:
            return self._store.put(INDEX, data, create_only=etag is None, if_match=etag)
        except (FileExistsError, PreconditionFailed):
            there = self._store.get(
                INDEX
            )  # our own, where the answer to an earlier attempt was lost on its way
            return there.etag if there.data == data else None

    def _write(self, rows: Iterable[Settled]) -> Layer:
        files: list[str] = []
        count = 0
        stream = iter(rows)
        name = f"layer-{secrets.token_hex(8)}"
        while part := list(islice(stream, FILE_ROWS)):
            table = pa.table(dict(zip(SCHEMA.names, zip(*part, strict=True), strict=True)), schema=SCHEMA)
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            files.append(f"{name}-{len(files):05d}.parquet")
            self._store.put(files[-1], buffer.getvalue())  # nobody else's: its name is drawn at random
            count += len(part)
        return Layer(files=files, rows=count)

    def _merged(self, layers: list[Layer]) -> Iterator[Settled]:
        # The newest layer first: heapq.merge keeps the order of its inputs where keys are equal.
        streams = [self._rows(layer) for layer in reversed(layers)]
        last = None
        for row in heapq.merge(*streams, key=lambda row: row[0]) if len(streams) > 1 else chain(*streams):
            if row.key != last:
                yield row
            last = row.key

    def _rows(self, layer: Layer) -> Iterator[Settled]:
        for file in layer.files:
            table = read_table(pa.BufferReader(self._store.get(file).data))
            for batch in table.to_batches(_BATCH):
                yield from map(
                    Settled._make, zip(*(column.to_pylist() for column in batch.columns), strict=True)
                )


def _is_ragged(layers: list[Layer]) -> bool:
    """Whether reading would gain by a merge: many layers, or late ones that outweigh a quarter of the first."""
    later = sum(layer.rows for layer in layers[1:])
    return len(layers) > MOST_LAYERS or later * 4 > layers[0].rows if layers else False
