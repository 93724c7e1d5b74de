"""Numbers with their nouns."""

import pytest

from flows.words import counted


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 shards"), (1, "1 shard"), (2000, "2,000 shards"), (1.0, "1 shard"), (0.5, "0.5 shards")],
)
def test_only_one_is_singular(count: float, words: str) -> None:
    assert counted(count, "shard") == words
