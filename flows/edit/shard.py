"""One shard of an edit run, in one process: fetch → decode → edit → encode → put, all at once, then its ledger.

Bad data ends as a row; an infrastructure fault leaves as an exception and the shard starts again (what it had put is
recognised as ours and counts as done).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from attgan.attributes import Edit, parse_edits, target_vector
from attgan.data import codec
from attgan.data.codec import Decoded, Limits
from attgan.data.transforms import Box, face_box, put_face, take_face
from attgan.editing.editor import Editor, make_editor
from attgan.errors import DataError, UserError
from flows.bundles import open_bundle
from flows.edit import plan
from flows.edit.ledger import Row, Status, Summary, summarise, write_ledger
from flows.edit.run import Run, check_versions, read_run
from flows.settings import EditSettings
from flows.stages import Stage, each, run_stages, set_torch_threads
from flows.storage import KeyRefused, Store, open_store

CHUNK_IMAGES = 64
CHUNK_BYTES = 32 * 2**20
CHUNK_PIXELS = 32_000_000
REQUESTS_IN_FLIGHT = 64
SAMPLE = 12


@dataclass
class Item:
    """An input on its way through the stages; what a stage is done with, it drops."""

    row: Row
    size: int
    labels: list[float] | None
    data: bytes | None = None
    content_type: str | None = None
    image: Decoded | None = None
    box: Box | None = None
    face: np.ndarray | None = None

    def fail(self, error: DataError) -> None:
        """End here, as bad data."""
        self._end("failed", error.stage, error.reason)

    def skip(self, stage: str, reason: str) -> None:
        """End here, for a reason that is nobody's fault."""
        self._end("skipped", stage, reason)

    def _end(self, status: Status, stage: str, reason: str) -> None:
        self.row.status, self.row.stage, self.row.reason = status, stage, reason
        self.row.bytes_out = None
        self.data = self.image = self.face = None


Chunk = list[Item]


def edit_shard(run_url: str, shard: int, settings: EditSettings) -> Summary:
    """Edit one planned shard and write its ledger.

    Args:
        run_url: the run's folder, with ``run.json`` and the plan.
        shard: its number.
        settings: of the command at work; what may change in a run is taken from them (:data:`MAY_CHANGE`).

    Raises:
        StorageError: the storage failed after its retries. Nothing is lost: the shard can be run again.
        UserError: the bundle was replaced, or a library here is not of the version the run was begun with.
    """
    started = time.perf_counter()
    run_store = open_store(run_url)
    begun = read_run(run_store)
    if begun is None:
        raise FileNotFoundError(f"{run_url}: has no run.json")
    check_versions(begun)
    run = begun.under(settings)
    rows = plan.read_shard(run_store, run, shard)
    items = [Item(Row(row["key"], row["key"], row["etag"]), row["size"], row["labels"]) for row in rows]
    stages = asyncio.run(_run(run, items))
    done = [item.row for item in items]
    summary = summarise(shard, done, choose_sample(row.key for row in done if row.status == "edited"))
    summary.seconds = {stage.name: round(stage.seconds, 3) for stage in stages}
    summary.wall = round(time.perf_counter() - started, 3)
    summary.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    summary.host = f"{socket.gethostname()}/{os.getpid()}"
    return write_ledger(run_store, 0, done, summary)


def choose_sample(keys: Any, count: int = SAMPLE) -> list[str]:
    """A few keys, the same ones whatever the order: those whose hash is smallest."""
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())[:count]


async def _run(run: Run, items: list[Item]) -> list[Stage[Chunk]]:
    settings = run.settings
    cpus = max(1, int(settings.cpus_per_shard))
    editor = _editor(
        settings.bundle, run.made_of["bundle"], bool(settings.gpus_per_shard), settings.batch_size
    )
    edits = parse_edits(settings.set, settings.intensity, run.attributes)
    source = open_store(settings.source)
    destination = open_store(settings.destination)
    requests = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
    limits = Limits(max_pixels=settings.max_pixels)
    # Codec calls keep to one core each; the model has a thread of its own, because torch's thread pools belong to the
    # thread that calls it, and as many cores as the task was granted.
    with (
        ThreadPoolExecutor(2 * cpus, "codec", set_torch_threads, (1,)) as codec_pool,
        ThreadPoolExecutor(1, "model", set_torch_threads, (cpus,)) as model_pool,
    ):
        loop = asyncio.get_running_loop()

        async def fetch(chunk: Chunk) -> Chunk:
            await asyncio.gather(*(_fetch(item, source, requests, limits) for item in chunk))
            return chunk

        async def decode(chunk: Chunk) -> AsyncIterator[Chunk]:
            todo = iter(chunk)
            while part := await loop.run_in_executor(codec_pool, _decode_some, todo, editor.size, limits):
                yield part

        async def edit(chunk: Chunk) -> Chunk:
            await loop.run_in_executor(model_pool, _edit, chunk, editor, edits, run.attributes)
            return chunk

        async def encode(chunk: Chunk) -> Chunk:
            await loop.run_in_executor(codec_pool, _encode, chunk, settings.output, settings.quality)
            return chunk

        async def put(chunk: Chunk) -> Chunk:
            await asyncio.gather(*(_put(item, destination, requests, run) for item in chunk))
            return chunk

        stages = [
            Stage("fetch", each(fetch), workers=2),
            Stage("decode", decode, workers=cpus),
            Stage("edit", each(edit)),
            Stage("encode", each(encode), workers=cpus),
            Stage("put", each(put), workers=2),
        ]
        await run_stages(_chunks(items, max(CHUNK_IMAGES, settings.batch_size)), stages, lambda chunk: None)
    return stages


@functools.lru_cache(maxsize=2)
def _editor(bundle: str, digest: str, gpu: bool, batch_size: int) -> Editor:
    """The model, loaded once per process and digest; the next shard of this worker finds it warm."""
    loaded = open_bundle(bundle, with_discriminator=False)
    if loaded.digest != digest:
        raise UserError(f"--bundle {bundle}: has been replaced since the run was begun")
    return make_editor(loaded.generator, "cuda" if gpu else "cpu", batch_size, loaded.classifier)


def _chunks(items: list[Item], images: int) -> Iterator[Chunk]:
    """At most so many inputs and about 32 MiB of encoded bytes each."""
    chunk: Chunk = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == images or size + item.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk


async def _fetch(item: Item, source: Store, requests: asyncio.Semaphore, limits: Limits) -> None:
    if item.size > limits.max_bytes:
        item.fail(DataError("fetch", f"{item.size:,} bytes; the limit is {limits.max_bytes:,}"))
        return
    async with requests:
        try:
            fetched = await source.aget(item.row.key)
        except FileNotFoundError:
            item.fail(DataError("fetch", "gone since it was planned"))
            return
        except KeyRefused as error:
            item.fail(DataError("fetch", str(error)))
            return
    item.data = fetched.data
    item.row.source_etag = fetched.etag
    item.row.bytes_in = len(fetched.data)


def _decode_some(todo: Iterator[Item], size: int, limits: Limits) -> Chunk:
    """Decode until the inputs end or the pixels held are many; an empty chunk means the end."""
    part: Chunk = []
    pixels = 0
    for item in todo:
        part.append(item)
        if item.data is not None:
            _decode(item, size, limits)
        if item.image is not None:
            pixels += item.image.pixels.shape[0] * item.image.pixels.shape[1]
        if pixels >= CHUNK_PIXELS:
            break
    return part


def _decode(item: Item, size: int, limits: Limits) -> None:
    data, item.data = item.data, None
    try:
        image = codec.decode(data or b"", limits)
    except DataError as error:
        item.fail(error)
        return
    item.row.height, item.row.width = image.pixels.shape[:2]
    item.row.notes = ", ".join(image.notes) or None
    box = face_box(item.row.width, item.row.height)
    if box is None:
        item.skip("decode", "not an aligned face: neither square nor of 178×218's proportions")
        return
    item.image, item.box = image, box
    item.face = take_face(image.pixels, box, size)


def _edit(chunk: Chunk, editor: Editor, edits: tuple[Edit, ...], names: list[str]) -> None:
    items = [item for item in chunk if item.face is not None]
    if not items:
        return
    faces = np.stack([item.face for item in items if item.face is not None])
    targets = target_vector(_source_attributes(items, faces, editor, len(names)), edits, names)
    for item, face, target in zip(items, editor.edit(faces, targets), targets, strict=True):
        item.face = face
        item.row.targets = target.tolist()


def _source_attributes(items: Chunk, faces: np.ndarray, editor: Editor, count: int) -> np.ndarray:
    """The faces' attributes before the edit, ``(N, n)`` 0, 1 or NaN: their labels, or what the classifier sees."""
    sources = np.full((len(items), count), np.nan, dtype=np.float32)
    unlabelled = [i for i, item in enumerate(items) if item.labels is None]
    seen = editor.recognise(faces[unlabelled])
    for i, item in enumerate(items):
        item.row.attributes_from = "unknown" if item.labels is None else "labels"
        if item.labels is not None:
            sources[i] = item.labels
    if seen is not None:
        sources[unlabelled] = seen
        for i, predicted in zip(unlabelled, seen, strict=True):
            items[i].row.attributes_from, items[i].row.predicted = "classifier", predicted.tolist()
    return sources


def _encode(chunk: Chunk, output: str, quality: int) -> None:
    for item in chunk:
        if item.image is None or item.box is None or item.face is None:
            continue
        pixels = item.face if output == "face" else put_face(item.image.pixels, item.box, item.face)
        try:
            item.data = codec.encode(item.image.with_pixels(pixels), quality=quality)
        except DataError as error:
            item.fail(error)
            continue
        item.row.bytes_out = len(item.data)
        item.content_type = codec.CONTENT_TYPES[item.image.format]
        item.image = item.face = None


async def _put(item: Item, destination: Store, requests: asyncio.Semaphore, run: Run) -> None:
    if item.data is None:
        return
    ours = {"attgan-fingerprint": run.fingerprint, "attgan-source-etag": item.row.source_etag.strip('"')}
    async with requests:
        try:
            await destination.aput(
                item.row.output_key,
                item.data,
                create_only=True,
                metadata=ours,
                content_type=item.content_type,
            )
        except KeyRefused as error:
            item.fail(DataError("put", str(error)))
            return
        except FileExistsError:
            if not await _is_ours(item, destination, ours):
                await _put_over(item, destination, ours, run.settings.on_existing)
                return
    item.row.status = "edited"
    item.data = None


async def _is_ours(item: Item, destination: Store, ours: dict[str, str]) -> bool:
    """Whether what stands there is this very result: by its metadata, or on disk, which has none, by its bytes."""
    there = await destination.ahead(item.row.output_key)
    if there.metadata:
        return all(there.metadata.get(name) == value for name, value in ours.items())
    if there.size != len(item.data or b""):
        return False
    return (await destination.aget(item.row.output_key)).data == item.data


async def _put_over(item: Item, destination: Store, ours: dict[str, str], rule: str) -> None:
    if rule == "overwrite":
        data, content_type = item.data or b"", item.content_type
        await destination.aput(item.row.output_key, data, metadata=ours, content_type=content_type)
        item.row.status = "edited"
    elif rule == "skip":
        item.skip("put", "the destination holds another object under this key")
    else:
        item.fail(
            DataError("put", "the destination holds another object under this key (--on-existing fail)")
        )
    item.data = None
