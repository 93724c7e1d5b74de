"""What is done, against a simple model: from ledgers, with and without its cache, and from the former state."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.edit import done as module
from flows.edit import done_cache
from flows.edit.done import Done, open_done
from flows.edit.ledger import Row, summarise, write_ledger
from flows.edit.runs import RunFiles, list_runs
from flows.storage import ObjectInfo, open_store
from tests.support.refusals import refused

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)

# Also what a collation, a C string, a glob or UTF-16 order would confuse.
keys = st.text(st.sampled_from("aA/*'\0é\uffff\U0001f600 "), min_size=1, max_size=4)
outcomes = st.tuples(st.text("012", min_size=1, max_size=2), st.sampled_from(["edited", "failed", "skipped"]))
histories = st.lists(st.dictionaries(keys, outcomes, max_size=8), max_size=5)
Run = dict[str, tuple[str, str]]
Settled = tuple[str, str, str | None, str]


def rows(run: Run, generation: int = 0) -> list[Row]:
    return [
        Row(key, key, etag, status, generation=generation, output_etag=output(etag, status))  # type: ignore[arg-type]
        for key, (etag, status) in sorted(run.items())
    ]


def output(etag: str, status: str) -> str | None:
    return f"out-{etag}" if status == "edited" else None


def settled(run: Run) -> dict[str, Settled]:
    return {key: (key, etag, output(etag, status), status) for key, (etag, status) in run.items()}


def add(place: Path, run_id: str, found: list[Row], generation: int = 0, minute: int = 0) -> None:
    """Write a run of one shard, as it is when it has finished."""
    store = open_store(str(place / "_runs" / run_id))
    write_ledger(store, found, summarise(0, generation, found))
    ledger = place / "_runs" / run_id / "ledger" / f"00000.{generation:04d}.parquet"
    os.utime(ledger, (NOON.timestamp() + 60 * minute,) * 2)
    store.put("run.json", b"{}")
    store.put("report.json", json.dumps({"counts": {}}).encode())


def listed(place: Path) -> list[RunFiles]:
    return sorted(list_runs(str(place)), key=lambda run: run.run_id)


@contextmanager
def opened(place: Path, *closing: str, may_write: bool = True) -> Iterator[Done]:
    with open_done(str(place), "lineage", listed(place), closing, may_write=may_write) as done:
        yield done


def everything(place: Path, *closing: str) -> list[Settled]:
    with opened(place, *closing) as done:
        return done.rows()


def cached(place: Path) -> dict[str, int]:
    runs: dict[str, int] = json.loads((place / "_state" / "lineage" / "done.json").read_text())["runs"]
    return runs


def infos(listing: dict[str, str]) -> list[ObjectInfo]:
    return [ObjectInfo(key, 1, etag, NOON) for key, etag in sorted(listing.items())]


@settings(deadline=None, max_examples=30)
@given(histories, st.dictionaries(keys, st.text("012", min_size=1, max_size=2), min_size=1), st.booleans())
def test_it_equals_a_simple_model(
    tmp_path_factory: pytest.TempPathFactory, history: list[Run], listing: dict[str, str], redo: bool
) -> None:
    place = tmp_path_factory.mktemp("out")
    expected: dict[str, Settled] = {}
    for number, run in enumerate(history):
        add(place, f"run-{number}", rows(run), minute=number)
        expected |= settled(run)
        assert everything(place) == [expected[key] for key in sorted(expected)]
    to_do = [
        (position, expected[info.key][2] if info.key in expected else None)
        for position, info in enumerate(infos(listing))
        if redo or info.key not in expected or expected[info.key][1] != info.etag
    ]
    with opened(place) as done:
        assert done.is_empty == (not expected)
        assert done.not_done(infos(listing), redo=redo) == to_do


def test_only_the_row_groups_of_a_range_are_read_and_none_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GROUP_ROWS", 2048)
    run = {f"a/{number:05d}": ("1", "edited") for number in range(10_000)}
    add(tmp_path, "run", rows(run))
    with opened(tmp_path) as done:
        (file,) = done._files
        assert len(file.read("a/00000", "a/00000")) < len(run) / 2
        for first in (0, 2047, 2048, 5000, 9999):
            part = infos(dict.fromkeys([f"a/{first:05d}", f"a/{first:05d}x"], "1"))
            assert done.not_done(part) == [(1, None)]


def test_a_retry_has_the_last_word_about_what_it_retried_and_nothing_else(tmp_path: Path) -> None:
    add(tmp_path, "run-1", rows({"a": ("1", "edited"), "b": ("1", "failed")}), minute=1)
    add(tmp_path, "run-2", rows({"a": ("2", "edited")}), minute=2)
    everything(tmp_path)
    retried = [*rows({"a": ("1", "edited")}), *rows({"b": ("1", "edited")}, generation=1)]
    add(tmp_path, "run-1", retried, generation=1, minute=3)
    expected = list(settled({"a": ("2", "edited"), "b": ("1", "edited")}).values())
    assert everything(tmp_path) == expected
    assert cached(tmp_path) == {"run-1": 2, "run-2": 1}


def test_runs_within_one_second_count_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    add(tmp_path, "run-1", rows({"a": ("1", "edited")}), minute=1)
    add(tmp_path, "run-2", rows({"a": ("2", "edited")}), minute=1)
    assert everything(tmp_path) == list(settled({"a": ("2", "edited")}).values())


def test_a_closed_run_counts_but_for_what_failed_in_it(tmp_path: Path) -> None:
    add(tmp_path, "run-1", rows({"a": ("1", "edited"), "b": ("1", "failed")}))
    report = tmp_path / "_runs" / "run-1" / "report.json"
    report.unlink()
    assert everything(tmp_path) == []
    expected = list(settled({"a": ("1", "edited")}).values())
    assert everything(tmp_path, "run-1") == expected
    report.write_text(json.dumps({"planned_anew": 1}))
    assert everything(tmp_path) == expected


def test_the_cache_is_rewritten_when_it_lacks_a_tenth(tmp_path: Path) -> None:
    add(tmp_path, "run-1", rows({f"k{number:02d}": ("1", "edited") for number in range(40)}), minute=1)
    everything(tmp_path)
    for number in (2, 3, 4):
        add(
            tmp_path,
            f"run-{number}",
            rows({f"k{number:02d}": ("2", "edited"), f"n{number}": ("1", "skipped")}),
        )
        assert len(everything(tmp_path)) == 40 + number - 1
        assert set(cached(tmp_path)) == ({"run-1"} if number < 4 else {"run-1", "run-2", "run-3", "run-4"})
    assert len(list((tmp_path / "_state" / "lineage").glob("done-*"))) == 1


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    add(tmp_path, "run-1", rows({"a": ("1", "edited")}))
    with opened(tmp_path, may_write=False) as done:
        assert len(done.rows()) == 1
    assert not (tmp_path / "_state").exists()


@pytest.mark.parametrize("damage", ["all", "index", "file", "half", "index half", "another version"])
def test_the_cache_may_be_deleted_or_damaged_at_any_time(tmp_path: Path, damage: str) -> None:
    add(tmp_path, "run-1", rows({"a": ("1", "edited"), "b": ("1", "failed")}))
    expected = everything(tmp_path)
    index = tmp_path / "_state" / "lineage" / "done.json"
    (file,) = index.parent.glob("done-*.parquet")
    if damage in ("all", "index"):
        index.unlink()
    if damage in ("all", "file"):
        file.unlink()
    if damage == "half":
        file.write_bytes(file.read_bytes()[:100])
    if damage == "index half":
        index.write_bytes(index.read_bytes()[:20])
    if damage == "another version":
        index.write_text(json.dumps(json.loads(index.read_text()) | {"schema_version": 99}))
    assert everything(tmp_path) == expected
    assert cached(tmp_path) == {"run-1": 1}


def test_what_killed_commands_have_left_goes_with_a_later_cache(tmp_path: Path) -> None:
    state = tmp_path / "_state" / "lineage"
    state.mkdir(parents=True)
    for name, days in (("done-dead.parquet", 3), ("done-young.parquet", 0)):
        (state / name).write_bytes(b"half of a file")
        now = datetime.now(UTC).timestamp()
        os.utime(state / name, (now - days * 86400,) * 2)
    add(tmp_path, "run-1", rows({"a": ("1", "edited")}))
    everything(tmp_path)
    left = {path.name for path in state.glob("done-*")}
    assert "done-dead.parquet" not in left
    assert "done-young.parquet" in left, "another command may be about to name it"


def test_of_commands_at_the_same_time_one_writes_the_cache_and_all_see_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path, "run-1", rows({"a": ("1", "edited")}))
    count = 4
    barrier = threading.Barrier(count)
    honest, seen = done_cache.read, []

    def read(*args: object) -> tuple[done_cache.Index, str | None]:
        found = honest(*args)  # type: ignore[arg-type]
        barrier.wait()
        return found

    monkeypatch.setattr(done_cache, "read", read)
    threads = [threading.Thread(target=lambda: seen.append(everything(tmp_path))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[row[0] for row in rows] for rows in seen] == [["a"]] * count
    assert len(list((tmp_path / "_state" / "lineage").iterdir())) == 2, "the losers delete their files"


def former(place: Path, *layers: Run) -> Path:
    """A state as a former version wrote it: its index, and one file for each layer."""
    state = place / "_state" / "lineage"
    state.mkdir(parents=True)
    for number, layer in enumerate(layers):
        columns = zip(*[settled(layer)[key] for key in sorted(layer)], strict=True)
        table = pa.table(dict(zip(["key", "etag", "output_etag", "status"], map(list, columns), strict=True)))
        pq.write_table(table, state / f"layer-{number}-00000.parquet")
    files = [{"files": [f"layer-{number}-00000.parquet"], "rows": 1} for number in range(len(layers))]
    index = {"schema_version": 1, "runs": [{"run_id": "gone", "retried": 0, "failed": 0}], "layers": files}
    (state / "index.json").write_text(json.dumps(index))
    return state


def test_the_state_of_a_former_version_counts_until_a_ledger_says_otherwise(tmp_path: Path) -> None:
    state = former(tmp_path, {"a": ("1", "edited"), "b": ("1", "edited")}, {"b": ("2", "failed")})
    add(tmp_path, "run-1", rows({"a": ("5", "edited")}))
    expected = list(settled({"a": ("5", "edited"), "b": ("2", "failed")}).values())
    assert everything(tmp_path) == expected
    for layer in state.glob("layer-*"):
        layer.unlink()
    assert everything(tmp_path) == expected, "it is part of the cache now, and is not read again"


def test_a_damaged_former_state_is_refused_and_left_alone(tmp_path: Path) -> None:
    state = former(tmp_path)
    (state / "index.json").write_text("{}{")
    with refused("state-foreign"):
        everything(tmp_path)
    assert (state / "index.json").read_text() == "{}{"
