"""Stages that overlap: chunks of work flow through them over short queues, so memory stays bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_QUEUED = 1  # chunks that may wait between two stages
_END = object()


@dataclass
class Stage(Generic[T]):
    """One step of the pipeline.

    Attributes:
        name: for the record of seconds.
        work: takes a chunk and yields it on, whole or in smaller ones.
        workers: how many chunks it works on at a time.
        seconds: how long it was busy, summed over its workers.
    """

    name: str
    work: Callable[[T], AsyncIterator[T]]
    workers: int = 1
    seconds: float = field(default=0.0, init=False)


def set_torch_threads(count: int) -> None:
    """For a pool's initializer: torch uses ``count`` threads below the thread that calls this."""
    import torch

    torch.set_num_threads(count)
    torch.get_num_threads()  # settles it: else the thread takes, at its first operation, what another one set last


def each(work: Callable[[T], Awaitable[T]]) -> Callable[[T], AsyncIterator[T]]:
    """A stage's work out of a coroutine that returns one chunk for one."""

    async def once(chunk: T) -> AsyncIterator[T]:
        yield await work(chunk)

    return once


async def run_stages(chunks: Iterable[T], stages: list[Stage[T]], finish: Callable[[T], None]) -> None:
    """Send the chunks through all stages, which work side by side; ``finish`` receives each one at the end.

    The first exception stops everything and is raised as it is. Chunks may overtake one another.
    """
    queues: list[asyncio.Queue[object]] = [asyncio.Queue(_QUEUED) for _ in range(len(stages) + 1)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(chunks, queues[0]))
            for stage, inbox, outbox in zip(stages, queues, queues[1:], strict=False):
                group.create_task(_run_stage(stage, inbox, outbox))
            group.create_task(_drain(queues[-1], finish))
    except BaseExceptionGroup as failures:
        raise _first(failures) from None


async def _feed(chunks: Iterable[T], outbox: asyncio.Queue[object]) -> None:
    for chunk in chunks:
        await outbox.put(chunk)
    await outbox.put(_END)


async def _run_stage(stage: Stage[T], inbox: asyncio.Queue[object], outbox: asyncio.Queue[object]) -> None:
    async def worker() -> None:
        while (chunk := await inbox.get()) is not _END:
            started = time.perf_counter()
            async for part in stage.work(chunk):  # type: ignore[arg-type]
                stage.seconds += time.perf_counter() - started
                await outbox.put(part)
                started = time.perf_counter()
            stage.seconds += time.perf_counter() - started
        await inbox.put(_END)  # for the next worker of this stage

    async with asyncio.TaskGroup() as group:
        for _ in range(stage.workers):
            group.create_task(worker())
    await outbox.put(_END)


async def _drain(inbox: asyncio.Queue[object], finish: Callable[[T], None]) -> None:
    while (chunk := await inbox.get()) is not _END:
        finish(chunk)  # type: ignore[arg-type]


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
