"""The stages of a shard: fetch → decode → find → edit → encode → put, overlapping, in bounded memory.

Bad data becomes a row of the ledger; a failure of the infrastructure is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from attgan.editing.device_slots import SLOTS_PER_GPU
from flows.edit.job import EditJob
from flows.edit.shard import faces, reading, writing
from flows.edit.shard.item import Chunk, Item
from flows.edit.shard.live_counts import Add
from flows.edit.shard.model import editor_of
from flows.runtime.stages import (
    MemoryBudget,
    Stage,
    each,
    in_place,
    in_threads,
    run_stages,
    set_torch_threads,
)

# A chunk of inputs goes through the stages together: so many images, or so many encoded bytes.
CHUNK_IMAGES = 64
CHUNK_BYTES = 32 * 2**20
BUDGET_BYTES = 256 * 2**20
CHUNKS_IN_FLIGHT = 2
# Requests at the same time, for reading and for writing. They run in threads, which measured half the cost of asyncio.
REQUESTS_IN_FLIGHT = 32


async def stream(
    job: EditJob,
    items: list[Item],
    alive: Callable[[], None] = lambda: None,
    add: Add = lambda items, seconds: None,
) -> list[Stage[Chunk]]:
    """Send a shard's inputs through all stages, which fill in their rows; returns the stages with their seconds.

    Args:
        job: of the run.
        items: the inputs.
        alive: called whenever a chunk has been fetched, and whenever a part of one is done.
        add: called whenever a part of a chunk is done.

    Raises:
        StorageError: the storage failed after its retries.
        UserError: the bundle has been replaced since the run began.
    """
    cpus = job.cpus
    editor = editor_of(job.model)
    generator = editor.generator.config
    budget = MemoryBudget(BUDGET_BYTES)
    on_gpu = editor.device.type == "cuda"
    at_a_time = REQUESTS_IN_FLIGHT // CHUNKS_IN_FLIGHT
    # There are as many computing threads as granted cores, and each one uses one core: for the codec, and without a GPU
    # for the networks, too. So threads do not compete for cores, and the results do not depend on the number of cores.
    with (
        ThreadPoolExecutor(REQUESTS_IN_FLIGHT, "fetch") as fetch_pool,
        ThreadPoolExecutor(cpus, "compute", set_torch_threads, (1,)) as compute_pool,
        ThreadPoolExecutor(SLOTS_PER_GPU, "gpu", set_torch_threads, (1,)) as gpu_pool,
        ThreadPoolExecutor(REQUESTS_IN_FLIGHT, "put") as put_pool,
    ):
        networks_pool = gpu_pool if on_gpu else compute_pool

        async def fetch(chunk: Chunk) -> Chunk:
            await in_threads(fetch_pool, at_a_time, lambda item: reading.fetch(item, job), chunk)
            alive()
            return chunk

        async def put(chunk: Chunk) -> Chunk:
            await in_threads(put_pool, at_a_time, lambda item: writing.put(item, job), chunk)
            await budget.give_back(_bytes_held(chunk))
            return chunk

        stages: list[Stage[Chunk]] = [
            Stage("fetch", each(fetch), workers=CHUNKS_IN_FLIGHT),
            Stage(
                "decode",
                lambda chunk: reading.decode_in_parts(chunk, job.limits, job.model.batch_size),
                workers=cpus,
                pool=compute_pool,
                admit=lambda chunk: budget.take(_bytes_held(chunk)),
            ),
            Stage(
                "find",
                in_place(lambda chunk: faces.find(chunk, editor.size, job)),
                workers=1 if on_gpu else cpus,
                pool=networks_pool,
            ),
            Stage(
                "edit",
                in_place(lambda chunk: faces.edit(chunk, editor, job)),
                workers=SLOTS_PER_GPU if on_gpu else cpus,
                pool=networks_pool,
            ),
            Stage(
                "encode",
                in_place(lambda chunk: writing.encode(chunk, generator, job)),
                workers=cpus,
                pool=compute_pool,
            ),
            Stage("put", each(put), workers=CHUNKS_IN_FLIGHT),
        ]
        chunks = _chunks(items, max(CHUNK_IMAGES, job.model.batch_size))

        def finish(chunk: Chunk) -> None:
            alive()
            add(chunk, {stage.name: stage.seconds for stage in stages})

        await run_stages(chunks, stages, finish)
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


def _bytes_held(chunk: Chunk) -> int:
    """The memory that a chunk's images use from decoding to writing, as pixels and then encoded."""
    return sum(item.held for item in chunk)
