"""A pipeline of stages that run at the same time. Chunks pass between them in short queues, so memory is bounded."""

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

# Chunks that may wait between two stages.
_QUEUED = 1
_END = object()


@dataclass
class Stage(Generic[T]):
    """One step of the pipeline.

    Attributes:
        name: under which its seconds are reported.
        work: takes a chunk and yields it again, whole or in smaller chunks. An iterator runs in threads, an
            asynchronous iterator in the event loop.
        workers: how many chunks it works on at the same time.
        pool: the threads for an iterator.
        admit: waits until the memory budget of later stages has space for a chunk that this stage has finished.
        seconds: how long it was busy, summed over its workers. Time spent waiting (for a chunk, a thread, memory or the
            next stage) is not included.
    """

    name: str
    work: Callable[[T], Iterator[T] | AsyncIterator[T]]
    workers: int = 1
    pool: Executor | None = None
    admit: Callable[[T], Awaitable[None]] | None = None
    seconds: float = field(default=0.0, init=False)


class MemoryBudget:
    """A limit on the bytes that the tasks of one event loop hold together.

    A request for more than the whole budget is granted when nothing else is held.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._given_back = asyncio.Condition()

    async def take(self, size: int) -> None:
        """Wait until ``size`` bytes are free, and take them."""
        async with self._given_back:
            await self._given_back.wait_for(lambda: not self.taken or self.taken + size <= self.size)
            self.taken += size

    async def give_back(self, size: int) -> None:
        """Release bytes that were taken."""
        async with self._given_back:
            self.taken -= size
            self._given_back.notify_all()


async def in_threads(pool: Executor, threads: int, work: Callable[[U], None], items: list[U]) -> None:
    """Call ``work`` with each item, in this many threads of a pool. A thread that is free takes the next item.

    The event loop is woken once, by the last thread: to wake it for each item costs as much as the work itself
    (measured).

    Raises:
        Exception: the first exception from ``work``; the other threads stop after their current item.
    """
    if not items:
        return
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    # Threads may share a list's iterator: each item is taken once.
    todo = iter(items)
    at_work = min(threads, len(items))
    failures: list[BaseException] = []
    lock = threading.Lock()

    def some() -> None:
        nonlocal at_work
        try:
            for item in todo:
                work(item)
        except BaseException as failure:
            # Exhausts the iterator, so that the other threads stop.
            deque(todo, 0)
            failures.append(failure)
        with lock:
            at_work -= 1
            last = not at_work
        if last:
            loop.call_soon_threadsafe(wake)

    def wake() -> None:
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
    """Let torch use ``count`` threads for operations of the calling thread. Meant as the initializer of a pool."""
    import torch

    torch.set_num_threads(count)
    # Makes the setting take effect. Otherwise the thread's first operation uses what another thread has set last.
    torch.get_num_threads()


def each(work: Callable[[T], Awaitable[T]]) -> Callable[[T], AsyncIterator[T]]:
    """Turn a coroutine that returns one chunk for each into a stage's work."""

    async def once(chunk: T) -> AsyncIterator[T]:
        yield await work(chunk)

    return once


def in_place(work: Callable[[T], None]) -> Callable[[T], Iterator[T]]:
    """Turn a function that changes its chunk into a stage's work, which runs in threads."""

    def once(chunk: T) -> Iterator[T]:
        work(chunk)
        yield chunk

    return once


async def run_stages(chunks: Iterable[T], stages: list[Stage[T]], finish: Callable[[T], None]) -> None:
    """Send the chunks through all stages, which run at the same time. ``finish`` receives each chunk at the end.

    The first exception stops all stages and is raised unchanged. Chunks may overtake one another.
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
        # For the next worker of this stage.
        await inbox.put(_END)

    async with asyncio.TaskGroup() as group:
        for _ in range(stage.workers):
            group.create_task(worker())
    await outbox.put(_END)


async def _parts(stage: Stage[Any], chunk: object) -> AsyncIterator[object]:
    """The chunks that a stage yields for one chunk. Adds the time of its work to the stage's seconds."""
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
