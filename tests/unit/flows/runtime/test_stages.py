"""Stages overlap, keep memory bounded, lose nothing and stop at the first fault."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.runtime.stages import Stage, each, in_place, in_threads, run_stages


def run(chunks: list[list[int]], stages: list[Stage[list[int]]]) -> list[list[int]]:
    finished: list[list[int]] = []
    asyncio.run(run_stages(chunks, stages, finished.append))
    return finished


async def doubled(chunk: list[int]) -> list[int]:
    await asyncio.sleep(0)
    return [2 * value for value in chunk]


def test_everything_comes_through_every_stage() -> None:
    stages = [
        Stage("a", each(doubled), workers=3),
        Stage("b", each(doubled)),
        Stage("c", each(doubled), workers=2),
    ]
    finished = run([[value] for value in range(100)], stages)
    assert sorted(finished) == [[8 * value] for value in range(100)]


def test_a_stage_may_cut_chunks() -> None:
    async def cut(chunk: list[int]) -> AsyncIterator[list[int]]:
        for value in chunk:
            yield [value]

    assert run([[1, 2, 3], [4]], [Stage("cut", cut)]) == [[1], [2], [3], [4]]


def test_a_stage_in_threads_may_cut_chunks_too() -> None:
    begun: list[int] = []
    passed_on: list[int] = []

    def cut(chunk: list[int]) -> Iterator[list[int]]:
        for value in chunk:
            begun.append(value)
            yield [value]

    async def slow(chunk: list[int]) -> list[int]:
        await asyncio.sleep(0.002)
        passed_on.append(len(begun) - len(passed_on))
        return chunk

    with ThreadPoolExecutor(1) as pool:
        stages = [Stage("cut", cut, pool=pool), Stage("slow", each(slow))]
        assert run([list(range(30)), [30]], stages) == [[value] for value in range(31)]
    assert max(passed_on) <= 4  # it is not cut up ahead of those who take the pieces


def test_waiting_for_a_thread_is_not_work() -> None:
    def busy(chunk: list[int]) -> None:
        time.sleep(0.005)

    with ThreadPoolExecutor(1) as pool:
        stages = [Stage(name, in_place(busy), workers=3, pool=pool) for name in "abc"]
        started = time.perf_counter()
        run([[value] for value in range(20)], stages)
        wall = time.perf_counter() - started
    assert 3 * 20 * 0.005 <= sum(stage.seconds for stage in stages) <= wall


@pytest.mark.parametrize("items", [0, 1, 5, 100])
def test_each_item_is_worked_on_once_whatever_the_threads(items: int) -> None:
    seen: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        asyncio.run(in_threads(pool, 8, seen.append, list(range(items))))
    assert sorted(seen) == list(range(items))


def test_a_fault_in_one_thread_stops_the_others() -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def fails(item: int) -> None:
        with lock:
            seen.append(item)
        time.sleep(0.001)
        if item == 10:
            raise ConnectionError("the network is gone")

    with ThreadPoolExecutor(4) as pool, pytest.raises(ConnectionError, match="gone"):
        asyncio.run(in_threads(pool, 4, fails, list(range(100_000))))
    assert len(seen) < 100_000


def test_no_chunks_is_no_work() -> None:
    assert run([], [Stage("a", each(doubled))]) == []


def test_stages_overlap() -> None:
    at_work: list[int] = []
    together: list[int] = []

    async def slow(chunk: list[int]) -> list[int]:
        at_work.append(chunk[0])
        together.append(len(at_work))
        await asyncio.sleep(0.002)
        at_work.remove(chunk[0])
        return chunk

    run([[value] for value in range(20)], [Stage(name, each(slow)) for name in "abc"])
    assert max(together) >= 3


def test_a_slow_last_stage_holds_the_others_back() -> None:
    begun: list[int] = []
    ahead: list[int] = []

    async def begin(chunk: list[int]) -> list[int]:
        begun.append(chunk[0])
        return chunk

    async def slow(chunk: list[int]) -> list[int]:
        await asyncio.sleep(0.002)
        ahead.append(len(begun) - chunk[0])
        return chunk

    run([[value] for value in range(50)], [Stage("begin", each(begin)), Stage("slow", each(slow))])
    assert max(ahead) <= 4


def test_the_first_fault_stops_all_and_is_raised_as_it_is() -> None:
    seen: list[int] = []

    async def fails(chunk: list[int]) -> list[int]:
        seen.append(chunk[0])
        if chunk[0] == 6:
            raise ConnectionError("the network is gone")
        return chunk

    with pytest.raises(ConnectionError, match="gone"):
        run(
            [[value] for value in range(1000)],
            [Stage("a", each(doubled)), Stage("b", each(fails), workers=1)],
        )
    assert len(seen) < 1000
