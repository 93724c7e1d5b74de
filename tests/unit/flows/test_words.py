"""Numbers with their nouns."""

import pytest

from flows.words import counted, lasting


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 shards"), (1, "1 shard"), (2000, "2,000 shards"), (1.0, "1 shard"), (0.5, "0.5 shards")],
)
def test_only_one_is_singular(count: float, words: str) -> None:
    assert counted(count, "shard") == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h")]
)
def test_a_time_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
