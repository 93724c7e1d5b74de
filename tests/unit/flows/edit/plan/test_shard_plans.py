"""How the inputs of a run are divided into shards."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.edit.plan.shard_plans import LARGEST_ON_CPUS, LARGEST_SHARD, SHARDS, SMALLEST_SHARD, shard_sizes
from flows.settings import EditSettings


def sizes(inputs: int, **options: int) -> list[int]:
    size_of = shard_sizes(EditSettings(source="/in", destination="/out", **options))
    found: list[int] = []
    while (before := sum(found)) < inputs:
        found.append(min(size_of(before), inputs - before))
    return found


@given(st.integers(1, 3_000_000), st.sampled_from([(0, LARGEST_ON_CPUS), (1, LARGEST_SHARD)]))
@example(3_000_000, (1, LARGEST_SHARD))
def test_no_shard_is_large_beside_its_run(inputs: int, kind: tuple[int, int]) -> None:
    gpus, largest = kind
    found = sizes(inputs, gpus_per_shard=gpus)
    assert sum(found) == inputs
    assert max(found) <= min(largest, max(SMALLEST_SHARD, inputs // SHARDS))
    # A task has its own cost, so there are no more of them than it takes.
    assert len(found) <= 200 + inputs // largest


@pytest.mark.parametrize(("inputs", "shards"), [(40, 1), (300, 6), (1500, 30), (20_000, 110)])
def test_small_runs_have_several_shards_for_each_worker(inputs: int, shards: int) -> None:
    assert abs(len(sizes(inputs)) - shards) <= shards // 10


def test_a_shard_fills_a_batch_and_a_size_that_is_asked_for_is_kept() -> None:
    assert sizes(1000, batch_size=256)[0] == 256
    assert sizes(1000, batch_size=4096, gpus_per_shard=1) == [1000]
    assert sizes(1000, shard_size=300) == [300, 300, 300, 100]
