"""The state of a lineage: which inputs all runs so far have finished, so that the next run plans only the others.

``_state/<lineage>/index.json`` lists layers, the oldest first, and is only replaced by compare-and-swap. A layer is the
result of one finished run, or of several that were merged: Parquet files that are sorted by key and never change. Files
that the index does not list do not count. This is a log-structured merge tree with one layer per run.
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
# A reader holds one file of each layer in memory, so this and the number of layers bound its memory.
FILE_ROWS = 50_000
MOST_LAYERS = 16
_BATCH = 4096
_ABANDONED = timedelta(days=1)

SCHEMA = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("output_etag", pa.string()), ("status", pa.string())]
)


class Settled(NamedTuple):
    """A finished input: its key, its ETag, its output's ETag (None without an output) and its status."""

    key: str
    etag: str
    output_etag: str | None
    status: Status


class Layer(BaseModel):
    """The names of the files that together hold one sorted sequence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: list[str]
    rows: int


class Ended(BaseModel):
    """A run whose results the state includes.

    ``retried`` is the sum of its shards' generations: it grows with each retry, and distinguishes the retries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    retried: int
    failed: int


class Index(BaseModel):
    """The content of ``index.json``: runs and layers, the oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    runs: list[Ended] = []
    layers: list[Layer] = []


class State:
    """The state of one lineage (runs that make the same edit of the same source) at a destination.

    Args:
        store: the folder ``_state/<lineage>``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def settled(self) -> Iterator[Settled]:
        """Yield every finished input once, in key order, as the newest run left it."""
        return self._merged(self._read()[0].layers)

    def failures(self) -> dict[str, int]:
        """For each finished run, the number of inputs that failed and that no retry has edited; the latest run last."""
        return {ended.run_id: ended.failed for ended in self._read()[0].runs}

    def add(self, run: Ended, rows: Callable[[], Iterable[Settled]]) -> None:
        """Add a run's results, unless the state includes them already.

        Args:
            run: identifies the run and its retries.
            rows: called only if needed; returns the finished inputs in key order, each once.

        Raises:
            StorageError: the storage failed after its retries. The state is unchanged, or includes the run.
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
        """Merge all layers into one, then delete the old files and those that killed commands have left behind."""
        merged = self._write(self._merged(index.layers))
        if self._swap(index.model_copy(update={"layers": [merged]}), etag) is None:
            # Another command was faster. A later merge deletes our files.
            return
        replaced = {file for layer in index.layers for file in layer.files}
        found = list(self._store.list("layer-"))
        # The time by the storage's clock: the layer that was just written is the newest file.
        now = max(info.modified for info in found)
        for info in found:
            # A layer that another command is about to add is in no index yet, but it is young.
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
        """Replace the index that has this ETag.

        Returns:
            The new index's ETag; None if another command has replaced it in the meantime.
        """
        data = index.model_dump_json(indent=1).encode()
        try:
            return self._store.put(INDEX, data, create_only=etag is None, if_match=etag)
        except (FileExistsError, PreconditionFailed):
            # It is ours if an earlier attempt had succeeded, and only its answer was lost.
            there = self._store.get(INDEX)
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
            # The name is random, so no other command writes to this key.
            self._store.put(files[-1], buffer.getvalue())
            count += len(part)
        return Layer(files=files, rows=count)

    def _merged(self, layers: list[Layer]) -> Iterator[Settled]:
        # The newest layer comes first: among equal keys, heapq.merge keeps the order of its inputs.
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
    """Whether a merge would make reading faster: many layers, or later ones of more than a quarter of the first."""
    later = sum(layer.rows for layer in layers[1:])
    return len(layers) > MOST_LAYERS or later * 4 > layers[0].rows if layers else False
