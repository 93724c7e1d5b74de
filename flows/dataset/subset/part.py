"""Makes one part of a subset run, in one process: fetch → pack → write, then one create-only PUT.

A part that an earlier run of this plan has written is used as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from attgan.attributes import CELEBA
from attgan.data import codec
from attgan.data.celeba import Labels
from attgan.data.manifest import PartEntry, Unreadable
from attgan.data.shards import PartNote, write_part
from attgan.data.stored import Geometry, StoredImage, pack_image
from attgan.errors import DataError
from flows.dataset.datasets import find_part, put_part
from flows.runtime.stages import Stage, each, run_stages, set_torch_threads
from flows.storage import Store, open_store

CHUNK = 64
REQUESTS_IN_FLIGHT = 64


@dataclass(frozen=True)
class PartTask:
    """The argument of a part's task. It has URLs and settings, and no clients.

    Attributes:
        images: URL of the folder with the images.
        destination: URL of the dataset.
        index: the part's number.
        plan: digest of the plan.
        geometry: how images are stored.
        size: see :func:`attgan.data.stored.pack_image`.
        cpus: the number of threads that pack.
        rows: the part's labels, from :func:`pack_rows`.
    """

    images: str
    destination: str
    index: int
    plan: str
    geometry: Geometry
    size: int
    cpus: int
    rows: bytes


@dataclass(frozen=True)
class PartResult:
    """A part that is complete.

    Attributes:
        entry: its entry in the manifest.
        note: the note in its footer.
        reused: whether an earlier run has made it.
        seconds: of each stage.
    """

    entry: PartEntry
    note: PartNote
    reused: bool
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class _Item:
    """An image that passes through the stages."""

    image_id: str
    size: int
    data: bytes | None = None
    kept: StoredImage | None = None
    reason: str | None = None


_Chunk = list[_Item]


def make_part(task: PartTask) -> PartResult:
    """Make one part, unless it exists already.

    Raises:
        UserError: a part of another dataset has its name.
        StorageError: the storage failed after its retries. The part can be made again.
    """
    store = open_store(task.destination, option="--destination")
    found = find_part(store, task.plan, task.index)
    if found is not None:
        return PartResult(*found, reused=True)
    labels, sizes = unpack_rows(task.rows)
    items = [_Item(i, size) for i, size in zip(labels.image_ids.to_pylist(), sizes.tolist(), strict=True)]
    stages = asyncio.run(_fill(task, items))
    seconds = {stage.name: round(stage.seconds, 3) for stage in stages}

    started = time.perf_counter()
    kept = np.array([row for row, item in enumerate(items) if item.kept is not None], dtype=np.int64)
    images = [item.kept for item in items if item.kept is not None]
    unreadable = tuple(
        Unreadable(image_id=i.image_id, reason=i.reason) for i in items if i.reason is not None
    )
    note = PartNote(task.plan, task.index, min((image.side for image in images), default=0), unreadable)
    data = write_part(labels.take(kept), images, note)
    seconds["write"] = round(time.perf_counter() - started, 3)

    started = time.perf_counter()
    written, reused = put_part(store, data, len(images), note)
    seconds["put"] = round(time.perf_counter() - started, 3)
    return PartResult(*written, reused, {} if reused else seconds)


def pack_rows(labels: Labels, sizes: np.ndarray) -> bytes:
    """Labels and the sizes ``(n,)`` of their image files as compact bytes, about 16 for each row."""
    # (n, 5)
    packed = np.packbits(labels.attributes, axis=1)
    columns = {
        "image_id": labels.image_ids,
        "size": pa.array(sizes),
        "attributes": pa.array([bytes(row) for row in packed], pa.binary(packed.shape[1])),
    }
    if labels.partition is not None:
        columns["partition"] = pa.array(labels.partition)
    if labels.identity is not None:
        columns["identity"] = pa.array(labels.identity)
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack_rows(rows: bytes) -> tuple[Labels, np.ndarray]:
    """The arguments of :func:`pack_rows`, from its result."""
    with pa.ipc.open_stream(rows) as reader:
        table = reader.read_all().combine_chunks()
    packed = np.frombuffer(b"".join(table.column("attributes").to_pylist()), dtype=np.uint8)
    bits = np.unpackbits(packed.reshape(len(table), -1), axis=1, count=len(CELEBA)).astype(bool)
    numbers = {
        name: table.column(name).to_numpy() if name in table.column_names else None
        for name in ("partition", "identity")
    }
    labels = Labels(table.column("image_id").combine_chunks(), bits, **numbers)
    return labels, table.column("size").to_numpy()


async def _fill(task: PartTask, items: list[_Item]) -> list[Stage[_Chunk]]:
    """Fetch and pack every item; chunks of them overlap."""
    source = open_store(task.images, option="--source")
    requests = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(task.cpus, "pack", set_torch_threads, (1,)) as pool:

        async def fetch(chunk: _Chunk) -> _Chunk:
            await asyncio.gather(*(_fetch(item, source, requests) for item in chunk))
            return chunk

        async def pack(chunk: _Chunk) -> _Chunk:
            await loop.run_in_executor(pool, _pack, chunk, task.geometry, task.size)
            return chunk

        stages = [Stage("fetch", each(fetch), workers=2), Stage("pack", each(pack), workers=task.cpus)]
        await run_stages(_chunks(items), stages, lambda chunk: None)
    return stages


def _chunks(items: list[_Item]) -> Iterator[_Chunk]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


async def _fetch(item: _Item, source: Store, requests: asyncio.Semaphore) -> None:
    limit = codec.Limits().max_bytes
    if item.size > limit:
        item.reason = f"fetch: {item.size:,} bytes; the limit is {limit:,}"
        return
    async with requests:
        try:
            item.data = (await source.aget(item.image_id)).data
        except FileNotFoundError:
            item.reason = "fetch: gone since it was listed"


def _pack(chunk: _Chunk, geometry: Geometry, size: int) -> None:
    for item in chunk:
        data, item.data = item.data, None
        if data is None:
            continue
        try:
            item.kept = pack_image(data, geometry, size)
        except DataError as error:
            item.reason = str(error)
