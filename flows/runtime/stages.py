"""Stages that overlap: chunks of work flow through them over short queues, so memory stays bounded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

_QUEUED = 1  # chunks that may wait between two stages
_END = object()


@dataclass
class Stage(Generic[T]):
    """One step of the pipeline.

    Attributes:
        name: for the record of seconds.
        work: takes a chunk and yields it on, whole or in smaller ones.
        workers: how many chunks it works on at a time.
        pool: whose threads do the work, if it is an iterator; an asynchronous one is the event loop's.
        admit: waits until a chunk that is done with may go on, for want of room further down.
        seconds: how long it was busy, summed over its workers; waiting for a chunk, a thread, room or the next stage is
            not in it.
    """

    name: str
    work: Callable[[T], Iterator[T] | AsyncIterator[T]]
    workers: int = 1
    pool: Executor | None = None
    admit: Callable[[T], Awaitable[None]] | None = None
    seconds: float = field(default=0.0, init=False)


class Room:
    """So many bytes for all that is under way; what is larger than the whole of it gets it alone.

    For the tasks of one event loop.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._given_back = asyncio.Condition()

    async def take(self, size: int) -> None:
        """Wait until there is room for ``size`` bytes and take it."""
        async with self._given_back:
            await self._given_back.wait_for(lambda: not self.taken or self.taken + size <= self.size)
            self.taken += size

    async def give_back(self, size: int) -> None:
        """Let others have what was taken."""
        async with self._given_back:
            self.taken -= size
            self._given_back.notify_all()


async def in_threads(pool: Executor, threads: int, work: Callable[[U], None], items: list[U]) -> None:
    """Call ``work`` with each of the items, in so many threads of a pool: whichever is free takes the next one.

    The loop is told once, by the last of them: to wake it for each costs as much as what they do (measured).

    Raises:
        Exception: the first that one of them raised; the others stop after the item in hand.
    """
    if not items:
        return
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    todo = iter(items)  # a list's iterator may be shared by threads
    at_work = min(threads, len(items))
    failures: list[BaseException] = []
    lock = threading.Lock()

    def some() -> None:
        nonlocal at_work
        try:
            for item in todo:
                work(item)
        except BaseException as failure:
            deque(todo, 0)  # nothing is left for the others
            failures.append(failure)
        with lock:
            at_work -= 1
            last = not at_work
        if last:
            loop.call_soon_threadsafe(tell)

    def tell() -> None:
        if not over.done():
            over.set_result(None)

    for _ in range(min(threads, len(items))):
        pool.submit(some)
    try:
        await over
    finally:
        deque(todo, 0)
    if failures:
        raise failures[0]


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


def in_place(work: Callable[[T], None]) -> Callable[[T], Iterator[T]]:
    """A stage's work, in threads, out of a function that changes the chunk it is given."""

    def once(chunk: T) -> Iterator[T]:
        work(chunk)
        yield chunk

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


async def _run_stage(stage: Stage[Any], inbox: asyncio.Queue[object], outbox: asyncio.Queue[object]) -> None:
    async def worker() -> None:
        while (chunk := await inbox.get()) is not _END:
            async for part in _parts(stage, chunk):
                if stage.admit is not None:
                    await stage.admit(part)
                await outbox.put(part)
        await inbox.put(_END)  # for the next worker of this stage

    async with asyncio.TaskGroup() as group:
        for _ in range(stage.workers):
            group.create_task(worker())
    await outbox.put(_END)


async def _parts(stage: Stage[Any], chunk: object) -> AsyncIterator[object]:
    """What a stage makes of a chunk; the time that it works at it is added up."""
    work = stage.work(chunk)
    loop = asyncio.get_running_loop()
    while True:
        if isinstance(work, AsyncIterator):
            part, seconds = await _timed(work)
        else:
            part, seconds = await loop.run_in_executor(stage.pool, _next_timed, work)
        stage.seconds += seconds
        if part is _END:
            return
        yield part


async def _timed(work: AsyncIterator[object]) -> tuple[object, float]:
    started = time.perf_counter()
    return await anext(work, _END), time.perf_counter() - started


def _next_timed(work: Iterator[object]) -> tuple[object, float]:
    started = time.perf_counter()
    return next(work, _END), time.perf_counter() - started


async def _drain(inbox: asyncio.Queue[object], finish: Callable[[T], None]) -> None:
    while (chunk := await inbox.get()) is not _END:
        finish(chunk)  # type: ignore[arg-type]


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
