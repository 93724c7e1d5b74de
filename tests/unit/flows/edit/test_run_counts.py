"""What a run shows while its shards are at work, die, are retried and end."""

from typing import Any

from flows.edit.ledger import Summary
from flows.edit.run_counts import RunCounts


def report(attempt: str, edited: int, fetch: float = 0.0) -> dict[str, Any]:
    counts = {"edited": edited}
    return {
        "attempt": attempt,
        "counts": counts,
        "seconds": {"fetch": fetch},
        "bytes_in": edited,
        "bytes_out": 0,
    }


def summary(shard: int, edited: int, fetch: float = 0.0) -> Summary:
    counts = {"edited": edited, "copied": 0, "skipped": 0, "failed": 0}
    return Summary(shard, 0, counts, {}, edited, 0, seconds={"fetch": fetch})


def test_a_shard_counts_once_through_attempts_and_isolation_until_its_summary() -> None:
    counts = RunCounts(shards=3)
    seen = []
    for attempt, edited in [("a", 0), ("a", 5), ("b", 0), ("b", 3), ("c", 6)]:
        counts.follow({"0": report(attempt, edited)})
        seen.append(counts.totals().images)
    assert seen == [0, 5, 5, 5, 6]
    assert counts.totals().retries == 2
    assert counts.totals().shards == {"waiting": 2, "running": 1, "done": 0, "lost": 0}
    counts.finish(summary(0, 7))
    # A report that was on its way.
    counts.follow({"0": report("c", 6), "1": report("d", 1)})
    assert counts.totals().images == 8
    assert counts.totals().bytes_in == 8
    assert counts.totals().shards == {"waiting": 1, "running": 1, "done": 1, "lost": 0}
