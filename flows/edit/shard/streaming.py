"""The stages of a shard: fetch → decode → find → edit → encode → put, overlapping, in bounded memory.

Bad data becomes a row of the ledger; a failure of the infrastructure is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from attgan.data import codec
from attgan.data.codec import Limits
from attgan.data.codec.provenance import Provenance, xmp_packet
from attgan.editing.stream_slots import SLOTS_PER_GPU
from attgan.errors import DataError, NotAnImage
from attgan.models import GeneratorConfig
from flows.edit.job import EditJob
from flows.edit.naming import is_named_as_image
from flows.edit.shard.faces import edit_faces, find_faces, finished
from flows.edit.shard.item import Chunk, Item
from flows.edit.shard.model import editor_of
from flows.edit.shard.output import put_item
from flows.runtime.stages import (
    MemoryBudget,
    Stage,
    each,
    in_place,
    in_threads,
    run_stages,
    set_torch_threads,
)
from flows.storage import ObjectRefused, Store, denials

# A chunk of inputs goes through the stages together: so many images, or so many encoded bytes.
CHUNK_IMAGES = 64
CHUNK_BYTES = 32 * 2**20
# After decoding, a chunk is split so that each part holds about so many pixels.
PART_PIXELS = 8_000_000
BUDGET_BYTES = 256 * 2**20
CHUNKS_IN_FLIGHT = 2
# Requests at the same time, for reading and for writing. They run in threads, which measured half the cost of asyncio.
REQUESTS_IN_FLIGHT = 32


async def stream(
    job: EditJob, items: list[Item], alive: Callable[[], None] = lambda: None
) -> list[Stage[Chunk]]:
    """Send a shard's inputs through all stages, which fill in their rows; returns the stages with their seconds.

    Args:
        job: of the run.
        items: the inputs.
        alive: called whenever a chunk has been fetched, and whenever a part of one is done.

    Raises:
        StorageError: the storage failed after its retries.
        UserError: the bundle has been replaced since the run began.
    """
    cpus, limits = job.cpus, job.limits
    editor = editor_of(job.model)
    mark = xmp_packet(Provenance(job.made_of["software"], job.model.digest, job.edits_text))
    keep_original = job.settings.on_present == "copy"
    budget = MemoryBudget(BUDGET_BYTES)
    on_gpu = editor.device.type == "cuda"
    # There are as many computing threads as granted cores, and each one uses one core: for the codec, and without a GPU
    # for the networks, too. So threads do not compete for cores, and the results do not depend on the number of cores.
    with (
        ThreadPoolExecutor(REQUESTS_IN_FLIGHT, "fetch") as fetch_pool,
        ThreadPoolExecutor(cpus, "compute", set_torch_threads, (1,)) as compute_pool,
        ThreadPoolExecutor(SLOTS_PER_GPU, "gpu", set_torch_threads, (1,)) as gpu_pool,
        ThreadPoolExecutor(REQUESTS_IN_FLIGHT, "put") as put_pool,
    ):

        async def fetch(chunk: Chunk) -> Chunk:
            await in_threads(
                fetch_pool,
                REQUESTS_IN_FLIGHT // CHUNKS_IN_FLIGHT,
                lambda item: _fetch(item, job.source, limits, keep_original),
                chunk,
            )
            alive()
            return chunk

        async def put(chunk: Chunk) -> Chunk:
            await in_threads(
                put_pool,
                REQUESTS_IN_FLIGHT // CHUNKS_IN_FLIGHT,
                lambda item: put_item(item, job),
                chunk,
            )
            await budget.give_back(_bytes_held(chunk))
            return chunk

        stages: list[Stage[Chunk]] = [
            Stage("fetch", each(fetch), workers=CHUNKS_IN_FLIGHT),
            Stage(
                "decode",
                lambda chunk: _decode_in_parts(chunk, limits),
                workers=cpus,
                pool=compute_pool,
                admit=lambda chunk: budget.take(_bytes_held(chunk)),
            ),
            Stage(
                "find",
                in_place(lambda chunk: find_faces(chunk, editor.size, job)),
                workers=1 if on_gpu else cpus,
                pool=gpu_pool if on_gpu else compute_pool,
            ),
            Stage(
                "edit",
                in_place(lambda chunk: edit_faces(chunk, editor, job)),
                workers=SLOTS_PER_GPU if on_gpu else cpus,
                pool=gpu_pool if on_gpu else compute_pool,
            ),
            Stage(
                "encode",
                in_place(lambda chunk: _encode(chunk, job, editor.generator.config, mark)),
                workers=cpus,
                pool=compute_pool,
            ),
            Stage("put", each(put), workers=CHUNKS_IN_FLIGHT),
        ]
        chunks = _chunks(items, max(CHUNK_IMAGES, job.model.batch_size))
        await run_stages(chunks, stages, lambda chunk: alive())
    return stages


def _chunks(items: list[Item], images: int) -> Iterator[Chunk]:
    """Split the inputs into chunks of at most ``images`` images and about 32 MiB of encoded bytes."""
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


def _fetch(item: Item, source: Store, limits: Limits, keep_original: bool) -> None:
    if item.refused is not None:
        item.fail(DataError("list", item.refused))
        return
    if item.size > limits.max_bytes:
        reason = f"{item.size:,} bytes; the limit is {limits.max_bytes:,}"
        if is_named_as_image(item.row.key):
            item.fail(DataError("fetch", reason))
        else:
            item.skip("fetch", reason)
        return
    try:
        fetched = denials.get(source, item.row.key)
    except FileNotFoundError:
        item.fail(DataError("fetch", "deleted since it was planned"))
        return
    except ObjectRefused as error:
        item.refuse("fetch", error)
        return
    item.data = fetched.data
    item.original = fetched.data if keep_original else None
    item.row.source_etag = fetched.etag
    item.row.bytes_in = len(fetched.data)


def _bytes_held(chunk: Chunk) -> int:
    """The memory that a chunk's images use from decoding to writing, as pixels and then encoded."""
    return sum(item.held for item in chunk)


def _decode_in_parts(chunk: Chunk, limits: Limits) -> Iterator[Chunk]:
    """Decode a chunk, and pass it on in parts of about :data:`PART_PIXELS`."""
    part: Chunk = []
    pixels = 0
    for item in chunk:
        part.append(item)
        if item.data is not None:
            _decode(item, limits)
        if item.image is not None:
            pixels += item.image.pixels.shape[0] * item.image.pixels.shape[1]
        if pixels >= PART_PIXELS:
            yield part
            part, pixels = [], 0
    if part:
        yield part


def _decode(item: Item, limits: Limits) -> None:
    data, item.data = item.data, None
    try:
        item.image = image = codec.decode(data or b"", limits)
    except DataError as error:
        if isinstance(error, NotAnImage) and not is_named_as_image(item.row.key):
            item.skip(error.stage, error.reason)
        else:
            item.fail(error)
        return
    item.row.height, item.row.width = image.pixels.shape[:2]
    item.held = 4 * item.row.height * item.row.width
    if image.stored is not None:
        item.held += image.pixels.nbytes + 2 * image.stored.samples.nbytes
    item.row.notes = ", ".join(image.notes) or None


def _encode(chunk: Chunk, job: EditJob, generator: GeneratorConfig, mark: bytes) -> None:
    settings = job.settings
    format = None if settings.format == "keep" else settings.format.upper()
    for item in chunk:
        if item.image is None:
            continue
        own = format or item.image.format
        as_it_is = settings.output == "image" and own == item.image.format and settings.metadata == "keep"
        if item.present and as_it_is:
            data, item.row.notes = item.original or b"", None
        else:
            try:
                image = finished(item, job, generator)
                image = codec.prepare(image, own, settings.metadata, b"" if item.present else mark)
                # The notes include what this format cannot hold.
                item.row.notes = ", ".join(image.notes) or None
                data = codec.write(image, settings.quality)
            except DataError as error:
                item.fail(error)
                continue
        item.row.bytes_out = len(data)
        item.drop()
        item.data, item.content_type = data, codec.CONTENT_TYPES[own]
