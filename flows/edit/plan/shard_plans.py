"""The plan of an edit run: which keys each shard has (``plan/00012.<plan>.parquet``)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from attgan.data.column_reader import read_table
from attgan.data.loading.prefetch import Prefetched
from flows.edit.job import EditRequest
from flows.edit.plan.listing import Planned
from flows.edit.run import EditRun
from flows.settings import EditSettings
from flows.storage import Store

# Inputs of the first shards, and the share of the run that a shard may have, as a divisor.
SMALLEST_SHARD, SHARDS = 50, 30
# Inputs of the largest shards on a GPU, and on CPUs, where a shard of 500 photographs takes half a minute.
LARGEST_SHARD, LARGEST_ON_CPUS = 2000, 500

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        # In the order of the bundle's attributes; NaN or null where unknown.
        ("labels", pa.list_(pa.float32())),
        # The ETag of the output that was made of the key's earlier content.
        ("replaces", pa.string()),
        # Of the key's glasses; null where the settings decide.
        ("style", pa.list_(pa.string())),
        # Why the listing says that it cannot be read; null for other inputs.
        ("refused", pa.string()),
    ]
)


class PlanSize(NamedTuple):
    """The number of shards, of images and of their bytes in a plan."""

    shards: int
    inputs: int
    bytes_in: int


def shard_sizes(settings: EditSettings) -> Callable[[int], int]:
    """The size of a shard, from the number of the run's inputs before it.

    While inputs are listed, nobody knows how many there will be. So shards grow with the run: the first ones have 50
    inputs, or one batch, and later ones a share of what is before them. A run of any size has at least some dozens of
    shards, unless it is tiny, and the last one is a small part of it.
    """
    if (fixed := settings.shard_size) is not None:
        return lambda before: fixed
    largest = LARGEST_SHARD if settings.gpus_per_shard else LARGEST_ON_CPUS
    smallest = min(max(SMALLEST_SHARD, settings.batch_size), largest)
    return lambda before: min(max(before // SHARDS, smallest), largest)


def sizes_of(inputs: int, size_of: Callable[[int], int]) -> list[int]:
    """The sizes of the shards that so many inputs are planned in (:func:`shard_sizes`)."""
    sizes: list[int] = []
    before = 0
    while before < inputs:
        sizes.append(min(size_of(before), inputs - before))
        before += sizes[-1]
    return sizes


def write_plan(
    request: EditRequest,
    run: Store,
    plan: str,
    inputs: Iterable[Planned],
    written: Callable[[], None] = lambda: None,
) -> PlanSize:
    """Write the plan of each shard, with three shards in memory at a time.

    Args:
        request: the command's, with the labels and styles of single images.
        run: the run's folder.
        plan: random name of the plan.
        inputs: of the run, in key order.
        written: called after each shard.
    """
    labels, styles = request.labels.by_name, request.styles.by_key
    shards = total = size = 0
    # While a plan is written, the next inputs are listed.
    listed = Prefetched(lambda: _in_shards(inputs, shard_sizes(request.settings)), 1, "list inputs")
    with contextlib.closing(listed):
        for chunk in listed:
            columns = {
                "key": [planned.info.key for planned in chunk],
                "size": [planned.info.size for planned in chunk],
                "etag": [planned.info.etag for planned in chunk],
                "labels": [labels.get(planned.info.key.rsplit("/", 1)[-1]) for planned in chunk],
                "replaces": [planned.replaces for planned in chunk],
                "style": [styles.get(planned.info.key) for planned in chunk],
                "refused": [planned.info.refused for planned in chunk],
            }
            buffer = io.BytesIO()
            pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
            # The name is random, so no other command writes to this key.
            run.put(plan_key(plan, shards), buffer.getvalue())
            shards += 1
            total += len(chunk)
            size += sum(planned.info.size for planned in chunk)
            written()
    return PlanSize(shards, total, size)


def _in_shards(
    inputs: Iterable[Planned], size_of: Callable[[int], int]
) -> Generator[list[Planned], None, None]:
    stream, before = iter(inputs), 0
    while chunk := list(islice(stream, size_of(before))):
        before += len(chunk)
        yield chunk


def plan_key(plan: str, shard: int) -> str:
    """The key of a shard's plan below the run's folder."""
    return f"plan/{shard:05d}.{plan}.parquet"


def read_shard(store: Store, run: EditRun, shard: int) -> list[dict[str, Any]]:
    """Read a shard's planned inputs: rows of :data:`SCHEMA`."""
    data = store.get(plan_key(run.plan, shard)).data
    rows: list[dict[str, Any]] = read_table(pa.BufferReader(data)).to_pylist()
    return rows
