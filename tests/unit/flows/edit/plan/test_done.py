"""What is done equals what a plain reading of the ledgers says, whatever runs there were, and whatever the cache is."""

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.edit.ledger import Row, ledger_key, summarise, write_ledger
from flows.edit.plan import done as module
from flows.edit.plan.done import not_done, open_done
from flows.edit.plan.runs import list_runs
from flows.storage import ObjectInfo, Store, open_store
from tests.support.refusals import refused

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)

# Also what a collation, a C string, a glob, a quotation or UTF-16 order would confuse.
keys = st.text(st.sampled_from("aA/*'\0é\uffff\U0001f600 "), min_size=1, max_size=4)
etags = st.text("012", min_size=1, max_size=2)
outcomes = st.tuples(etags, st.sampled_from(["edited", "failed", "skipped"]))
Outcomes = dict[str, tuple[str, str]]
Kind = Literal["finished", "closed", "unfinished"]
Done = list[tuple[str, str, str | None]]


def rows(found: Outcomes, generation: int = 0) -> list[Row]:
    return [
        Row(key, key, etag, status, generation=generation, output_etag=output(etag, status))  # type: ignore[arg-type]
        for key, (etag, status) in sorted(found.items())
    ]


def output(etag: str, status: str) -> str | None:
    return f"out-{etag}" if status == "edited" else None


def done_rows(found: Outcomes) -> Done:
    return [(key, etag, output(etag, status)) for key, (etag, status) in sorted(found.items())]


class Place(NamedTuple):
    """A destination whose runs have one shard each. Ledgers are written in the order of their minutes."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "_state" / "lineage"

    def add(
        self, name: str, found: list[Row], minute: int, kind: Kind = "finished", generation: int = 0
    ) -> None:
        store = open_store(str(self.folder / "_runs" / name))
        summary = summarise(0, generation, found)
        write_ledger(store, found, summary)
        ledger = self.folder / "_runs" / name / ledger_key(0, generation)
        os.utime(ledger, (NOON.timestamp() + 60 * minute,) * 2)
        if not generation:
            store.put("run.json", b"{}")
        report = {"counts": summary.counts} | ({"planned_anew": 1} if kind == "closed" else {})
        if kind != "unfinished":
            store.put("report.json", json.dumps(report).encode())

    def done(self, *, may_write: bool = True) -> Done:
        with open_done(
            open_store(str(self.state)), list_runs(str(self.folder), "lineage"), may_write=may_write
        ) as done:
            return done.execute("FROM done ORDER BY key").fetchall()

    def not_done(self, listing: dict[str, str], *, redo: bool = False) -> dict[str, str | None]:
        infos = [ObjectInfo(key, 1, etag, NOON) for key, etag in sorted(listing.items())]
        with open_done(open_store(str(self.state)), list_runs(str(self.folder), "lineage")) as done:
            return not_done(done, infos, redo=redo)

    def included(self) -> set[str]:
        """The runs in the cache."""
        return {key.split("/")[0] for key in json.loads((self.state / "done.json").read_text())["includes"]}

    def damage(self, how: str) -> None:
        index, files = self.state / "done.json", list(self.state.glob("done-*.parquet"))
        if not index.exists():
            return
        if how in ("all", "index"):
            index.unlink()
        for file in files:
            if how in ("all", "file"):
                file.unlink()
            if how == "half":
                file.write_bytes(file.read_bytes()[:100])
            if how == "zeros":
                file.write_bytes(bytes(file.stat().st_size))
        if how == "index half":
            index.write_bytes(index.read_bytes()[:20])
        if how == "index empty":
            index.write_text("{}")
        if how == "another version":
            index.write_text(json.dumps(json.loads(index.read_text()) | {"schema_version": 99}))


DAMAGES = ("all", "index", "file", "half", "zeros", "index half", "index empty", "another version")


@pytest.fixture(autouse=True)
def one_lineage(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_run(store: Store, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(run_id=run_id, lineage="lineage")

    monkeypatch.setattr("flows.edit.plan.runs.read_run", read_run)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Model(NamedTuple):
    """What a plain reading says: for each key the last outcome that counts."""

    ledgers: list[tuple[int, Outcomes]]
    kinds: list[Kind]

    def done(self) -> Done:
        last: dict[str, tuple[str, str | None]] = {}
        for run, found in self.ledgers:
            for key, (etag, status) in found.items():
                if status != "failed" or self.kinds[run] == "finished":
                    # An output stays where it is while later contents fail.
                    before = last[key][1] if key in last else None
                    last[key] = etag, output(etag, status) or before
        return [(key, *one) for key, one in sorted(last.items())]


steps = st.one_of(
    st.tuples(
        st.sampled_from(["finished", "finished", "closed", "unfinished"]),
        st.dictionaries(keys, outcomes, max_size=8),
    ),
    st.tuples(st.just("retry"), st.integers(0, 5)),
    st.tuples(st.just("finish"), st.integers(0, 5)),
    st.tuples(st.just("damage"), st.sampled_from(DAMAGES)),
)


@settings(deadline=None, max_examples=12)
@given(st.lists(steps, max_size=8), st.dictionaries(keys, etags, min_size=1), st.booleans())
def test_it_equals_a_plain_reading_of_all_ledgers(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, object]],
    listing: dict[str, str],
    redo: bool,
) -> None:
    place, model = Place(tmp_path_factory.mktemp("out")), Model([], [])
    ledgers: list[tuple[Outcomes, int]] = []
    for minute, (step, what) in enumerate(history):
        if step in ("finished", "closed", "unfinished"):
            place.add(f"run-{len(model.kinds)}", rows(what), minute, step)  # type: ignore[arg-type]
            model.ledgers.append((len(model.kinds), what))  # type: ignore[arg-type]
            model.kinds.append(step)  # type: ignore[arg-type]
            ledgers.append((what, 0))  # type: ignore[arg-type]
        elif step == "damage":
            place.damage(str(what))
        elif int(what) < len(ledgers):  # type: ignore[call-overload]
            run: int = what  # type: ignore[assignment]
            found, generation = ledgers[run]
            if step == "finish" and model.kinds[run] == "unfinished":
                counts = summarise(0, generation, rows(found)).counts
                (place.folder / "_runs" / f"run-{run}" / "report.json").write_text(
                    json.dumps({"counts": counts})
                )
                model.kinds[run] = "finished"
            failed = {
                key: (etag + "r", "edited") for key, (etag, status) in found.items() if status == "failed"
            }
            if step == "retry" and failed and model.kinds[run] == "finished":
                others = [row for row in rows(found, generation) if row.status != "failed"]
                again = sorted([*others, *rows(failed, generation + 1)], key=lambda row: row.key)
                place.add(f"run-{run}", again, minute, "finished", generation + 1)
                model.ledgers.append((run, failed))
                ledgers[run] = (found | failed, generation + 1)
        assert place.done() == model.done(), (step, what)
    done = {key: (etag, output_etag) for key, etag, output_etag in model.done()}
    assert place.not_done(listing, redo=redo) == {
        key: done[key][1] if key in done else None
        for key, etag in listing.items()
        if redo or key not in done or done[key][0] != etag
    }


def test_a_range_of_keys_is_found_across_row_groups(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROUP_ROWS", 2048)
    place.add("run", rows({f"a/{number:05d}": ("1", "edited") for number in range(10_000)}), 1)
    place.done()
    for first in (0, 2047, 2048, 5000, 9999):
        keys = [f"a/{first:05d}", f"a/{first:05d}x"]
        assert place.not_done(dict.fromkeys(keys, "1")) == {keys[1]: None}


def test_the_cache_is_rewritten_when_it_lacks_a_tenth(place: Place) -> None:
    place.add("run-1", rows({f"k{number:02d}": ("1", "edited") for number in range(40)}), 1)
    place.done()
    for number in (2, 3, 4):
        found = {f"k{number:02d}": ("2", "edited"), f"n{number}": ("1", "skipped")}
        place.add(f"run-{number}", rows(found), number)
        assert len(place.done()) == 40 + number - 1
        assert place.included() == ({"run-1"} if number < 4 else {"run-1", "run-2", "run-3", "run-4"})
    assert len(list(place.state.glob("done-*"))) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_cache_may_be_deleted_or_damaged_at_any_time(place: Place, damage: str) -> None:
    place.add("run-1", rows({"a": ("1", "edited"), "b": ("1", "failed")}), 1)
    expected = place.done()
    place.damage(damage)
    assert place.done() == expected
    assert place.included() == {"run-1"}


class Killed(BaseException):
    """As if the process died here."""


@pytest.mark.parametrize("step", ["half of the file", "the file", "done.json", "a deletion"])
def test_a_command_that_is_killed_while_it_writes_the_cache_harms_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    place.add("run-1", rows({"a": ("1", "edited"), "c": ("1", "edited")}), 1)
    place.done()
    place.add("run-2", rows({"a": ("2", "edited"), "b": ("1", "failed")}), 2)
    expected = place.done(may_write=False)
    copy = module.fs.copy_files

    def copy_and_die(source: str, target: str, *filesystems: object, **options: object) -> None:
        copy(source, target, *filesystems, **options)
        if Path(target).parent == place.state:
            if step == "half of the file":
                Path(target).write_bytes(Path(target).read_bytes()[:100])
            raise Killed

    def die_after(work: Callable[..., object]) -> Callable[..., None]:
        def dying(*args: object, **options: object) -> None:
            work(*args, **options)
            raise Killed

        return dying

    store, runs = open_store(str(place.state)), list_runs(str(place.folder), "lineage")
    with monkeypatch.context() as patch:
        if step.endswith("file"):
            patch.setattr(module.fs, "copy_files", copy_and_die)
        else:
            method = "put" if step == "done.json" else "delete"
            patch.setattr(store, method, die_after(getattr(store, method)))
        with pytest.raises(Killed), open_done(store, runs):
            pass
    assert place.done() == expected
    assert place.included() == {"run-1", "run-2"}
    place.add("run-3", rows({"d": ("1", "edited")}), 3)
    assert len(place.done()) == len(expected) + 1
    assert len(list(place.state.iterdir())) == 2, "what the killed command has left goes with a later cache"


def test_of_commands_at_the_same_time_one_writes_the_cache_and_all_see_everything(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add("run-1", rows({"a": ("1", "edited")}), 1)
    count, seen = 4, []
    barrier, honest = threading.Barrier(count), module._read_cache

    def read(store: Store, path: str) -> object:
        found = honest(store, path)
        barrier.wait()
        return found

    monkeypatch.setattr(module, "_read_cache", read)
    threads = [threading.Thread(target=lambda: seen.append(place.done())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [done_rows({"a": ("1", "edited")})] * count
    assert len(list(place.state.iterdir())) == 2


def former(place: Place, *layers: Outcomes) -> None:
    """A state as earlier versions wrote it: an index, and a file for each layer."""
    place.state.mkdir(parents=True)
    files = [f"layer-{number}-00000.parquet" for number in range(len(layers))]
    for file, layer in zip(files, layers, strict=True):
        columns = zip(*((*row, layer[row[0]][1]) for row in done_rows(layer)), strict=True)
        pq.write_table(
            pa.table(dict(zip(["key", "etag", "output_etag", "status"], map(list, columns), strict=True))),
            place.state / file,
        )
    runs = [{"run_id": "gone", "retried": 0, "failed": 0}]
    index = {"schema_version": 1, "runs": runs, "layers": [{"files": [file], "rows": 1} for file in files]}
    (place.state / "index.json").write_text(json.dumps(index))


def test_the_state_of_earlier_versions_counts_until_a_ledger_says_otherwise(place: Place) -> None:
    former(place, {"a": ("1", "edited"), "b": ("1", "edited")}, {"b": ("2", "failed")})
    place.add("run-1", rows({"a": ("5", "edited")}), 1)
    expected = [("a", "5", "out-5"), ("b", "2", "out-1")]
    assert place.done() == expected
    for layer in place.state.glob("layer-*"):
        layer.unlink()
    assert place.done() == expected, "it is part of the cache now, and is not read again"


@pytest.mark.parametrize("data", ["{}{", "{}", "[]", '{"layers": [1]}'])
def test_a_damaged_state_of_earlier_versions_is_refused_and_left_alone(place: Place, data: str) -> None:
    former(place)
    (place.state / "index.json").write_text(data)
    with refused("state-foreign"):
        place.done()
    assert (place.state / "index.json").read_text() == data
