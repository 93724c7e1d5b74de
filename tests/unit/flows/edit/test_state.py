"""What runs have settled: the newest word for each key, streamed in order, whatever came in between."""

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.edit import state as module
from flows.edit.state import Ended, Settled, State
from flows.storage import open_store
from tests.support.refusals import refused

keys = st.text("abc/", min_size=1, max_size=4).filter(lambda key: key.strip("/"))
outcomes = st.tuples(st.text("012", min_size=1, max_size=2), st.sampled_from(["edited", "failed", "skipped"]))
runs = st.lists(st.dictionaries(keys, outcomes, max_size=8), max_size=6)


def rows(run: dict[str, tuple[str, str]]) -> list[Settled]:
    return [
        Settled(key, etag, f"out-{etag}" if status == "edited" else None, status)  # type: ignore[arg-type]
        for key, (etag, status) in sorted(run.items())
    ]


def ended(number: int, failed: int = 0, retried: int = 0) -> Ended:
    return Ended(run_id=f"run-{number}", retried=retried, failed=failed)


@settings(deadline=None, max_examples=40)
@given(runs)
def test_the_newest_run_has_the_last_word(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, tuple[str, str]]]
) -> None:
    state = State(open_store(str(tmp_path_factory.mktemp("state"))))
    expected: dict[str, Settled] = {}
    for number, run in enumerate(history):
        state.add(ended(number), lambda run=run: rows(run))  # type: ignore[misc]
        expected |= {row.key: row for row in rows(run)}
        assert list(state.settled()) == [expected[key] for key in sorted(expected)]


def test_a_run_counts_once(tmp_path: Path) -> None:
    state = State(open_store(str(tmp_path)))
    state.add(ended(1), lambda: rows({"a": ("1", "edited")}))
    before = sorted(path.name for path in tmp_path.iterdir())
    state.add(ended(1), lambda: pytest.fail("it is in already"))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_many_small_runs_are_merged_and_leave_no_files_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_ROWS", 3)
    state = State(open_store(str(tmp_path)))
    for number in range(30):
        state.add(ended(number), lambda number=number: rows({f"k{number:02d}": ("1", "edited")}))  # type: ignore[misc]
    assert [row.key for row in state.settled()] == [f"k{number:02d}" for number in range(30)]
    assert len(list(tmp_path.glob("layer-*"))) < 20


def test_a_merge_that_was_killed_half_way_harms_nothing(tmp_path: Path) -> None:
    state = State(open_store(str(tmp_path)))
    state.add(ended(1), lambda: rows({"a": ("1", "edited")}))
    (tmp_path / "layer-dead-00000.parquet").write_bytes(b"half of a file")
    assert [row.key for row in state.settled()] == ["a"]


def test_what_a_killed_merge_has_left_goes_with_a_later_one(tmp_path: Path) -> None:
    state = State(open_store(str(tmp_path)))
    for name, age in (("layer-dead-00000.parquet", 3 * 86400), ("layer-young-00000.parquet", 0)):
        (tmp_path / name).write_bytes(b"half of a file")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    for number in range(3):
        state.add(ended(number), lambda number=number: rows({f"k{number}": ("1", "edited")}))  # type: ignore[misc]
    left = {path.name for path in tmp_path.glob("layer-*")}
    assert "layer-dead-00000.parquet" not in left
    assert "layer-young-00000.parquet" in left, "it may be another command's, just before it is named"


def test_runs_that_end_at_the_same_time_are_all_taken_in(tmp_path: Path) -> None:
    def add(number: int) -> None:
        State(open_store(str(tmp_path))).add(ended(number), lambda: rows({f"k{number}": ("1", "edited")}))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.key for row in State(open_store(str(tmp_path))).settled()] == [f"k{i}" for i in range(8)]


def test_the_runs_and_their_failures(tmp_path: Path) -> None:
    state = State(open_store(str(tmp_path)))
    assert state.failures() == {}
    state.add(ended(1, failed=2), lambda: [])
    state.add(ended(2, failed=1), lambda: [])
    state.add(ended(3), lambda: [])
    state.add(ended(2, failed=0, retried=1), lambda: [])
    assert list(state.failures().items()) == [("run-1", 2), ("run-2", 0), ("run-3", 0)]


def test_a_damaged_index_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}{")
    with refused("state-foreign"):
        list(State(open_store(str(tmp_path))).settled())
    assert (tmp_path / "index.json").read_text() == "{}{"
