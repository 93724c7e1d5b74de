"""Stages overlap, keep memory bounded, lose nothing and stop at the first fault."""

import asyncio

import pytest

from flows.runtime.stages import Stage, each, run_stages


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
