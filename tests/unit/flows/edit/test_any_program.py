"""Ledger and lease against a simple model, in programs that hypothesis writes.

A program is a sequence of steps: sources appear and change, commands begin and continue in any order, each between two
of its images, time passes, images cannot be decoded for a while, somebody else writes below an output's key, the cache
of what is done is damaged. At any write of a command its process may be killed, the storage fail, or the answer be
lost. Planning, lease, ledgers, outputs and
report are the real ones; only the networks are left out.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from attgan.attributes import parse_edits
from attgan.errors import DataError, UserError
from flows.edit import job as job_module
from flows.edit import lease
from flows.edit.fingerprint import hash_of, lineage_of, versions
from flows.edit.job import EditRequest
from flows.edit.plan import closing, runs
from flows.edit.plan.done import open_done
from flows.edit.plan.prepared_run import NothingToDo, prepare
from flows.edit.plan.runs import list_runs
from flows.edit.plan.tables import SourceLabels, Styles
from flows.edit.removal import removed
from flows.edit.report.finish import finish
from flows.edit.run import FINGERPRINT, SOURCE_ETAG
from flows.edit.shard import one_shard, reading, writing
from flows.settings import EditSettings
from flows.storage import StorageError
from tests.support.fake_storage import KINDS, FakeStorage, Killed, Kind

LOG = logging.getLogger("test")
SOURCE, DESTINATION = "s3://model/in", "s3://model/out"
RUNS, LEASE = "model/out/_runs", f"model/out/{lease.LEASE}"
KEYS, COMMANDS = ("a", "b", "c", "d", "e"), ("first", "second")
ATTRIBUTES = ["Eyeglasses"]
# Refusals that two commands beside each other may meet, or one that would retry a run of another version.
EXPECTED = ("destination-in-use", "run-begun-elsewhere", "run-unfinished", "run-settings-differ")

DAMAGES = ("file cut", "file lost", "index cut", "index lost")
VERSIONS = st.sampled_from(("1", "1", "1", "2", "3"))
NEVER: tuple[int, Kind] = (10**6, "lost")
# At which of a command's next writes it happens, and what.
FAULTS = st.tuples(st.integers(0, 15), st.sampled_from(KINDS))

# What has happened in all programs of a test.
HAPPENED: Counter[str] = Counter()


@dataclass
class Command:
    """A command that has begun, and its lease once it has one."""

    steps: Iterator[lease.Lease]
    held: lease.Lease | None = None


def request_of(storage: FakeStorage, version: str, *, retry: bool = False) -> EditRequest:
    """What :func:`flows.edit.job.resolve` makes of a command, for a bundle that nobody reads."""
    asked = EditSettings(source=SOURCE, destination=DESTINATION, shard_size=2, retry_failed=retry)
    made_of: dict[str, Any] = {
        **versions(),
        "software": version,
        "bundle": "b",
        "edits": [["Eyeglasses", True, 1]],
    }
    nothing: Any = None
    return EditRequest(
        asked,
        storage.open(SOURCE),
        storage.open(DESTINATION),
        ATTRIBUTES,
        parse_edits(asked.set, asked.intensity, ATTRIBUTES),
        made_of,
        hash_of(made_of),
        bundle=nothing,
        labels=SourceLabels({}, None),
        styles=Styles({}, None),
        lineage=lineage_of(asked, made_of),
    )


class Programs(RuleBasedStateMachine):
    """One source, one destination, and two commands at most."""

    def __init__(self) -> None:
        super().__init__()
        self._cleanup = contextlib.ExitStack()
        folder = self._cleanup.enter_context(tempfile.TemporaryDirectory())
        self.storage = FakeStorage(Path(folder))
        patch = self._cleanup.enter_context(pytest.MonkeyPatch.context())
        for module in (job_module, runs, closing, one_shard, removed):
            patch.setattr(module, "open_store", self.storage.open)
        self.commands: dict[str, Command] = {}
        self.undecodable: set[str] = set()
        self.foreign: set[str] = set()
        self.alive = False
        self.begun = 0
        HAPPENED["programs"] += 1

    @initialize(keys=st.sets(st.sampled_from(KEYS), min_size=3))
    def begin(self, keys: set[str]) -> None:
        for key in keys:
            self.change(key)
        self.start("first", "1", retry=False, alive=True, fault=NEVER)

    @rule(
        what=st.sampled_from(("change", "decode", "wait", "expire", "foreign", "cache")),
        key=st.sampled_from(KEYS),
    )
    def go_on(self, what: str, key: str) -> None:
        """The world changes: a source or an output changes, one cannot be decoded or can be again, time passes."""
        if what == "change":
            self.change(key)
        elif what == "decode":
            self.undecodable ^= {key}
        elif what == "foreign":
            self.storage.open(DESTINATION).put(key, b"not ours")
            self.foreign.add(key)
        elif what == "cache":
            self.damage_the_cache(DAMAGES[KEYS.index(key) % len(DAMAGES)])
        else:
            self.storage.sleep(10.0 if what == "wait" else 1.5 * lease.EXPIRED_SECONDS)

    def change(self, key: str) -> None:
        """A source appears, or has another content."""
        self.storage.open(SOURCE).put(key, b"%s %d" % (key.encode(), len(self.storage.writes)))

    def damage_the_cache(self, what: str) -> None:
        """What is known to be done is cut off, or lost."""
        state = f"model/out/_state/{self.lineage}"
        for file in self.storage.on_disk(state).glob("done-*"):
            if what == "file cut":
                file.write_bytes(file.read_bytes()[:-9])
            elif what == "file lost":
                file.unlink()
        index = f"{state}/done.json"
        if what == "index lost":
            self.storage.objects.pop(index, None)
        elif what == "index cut" and index in self.storage.objects:
            self.storage.store(index, b"{", {})
        HAPPENED["cache damaged"] += 1

    @rule(
        who=st.sampled_from(COMMANDS),
        version=VERSIONS,
        retry=st.sampled_from((False, False, True)),
        alive=st.booleans(),
        fault=FAULTS,
        steps=st.integers(1, 20),
    )
    def start(
        self, who: str, version: str, retry: bool, alive: bool, fault: tuple[int, Kind], steps: int = 1
    ) -> None:
        """A command is given. If one of this name is at work, that is killed first; the other one may be alive."""
        self.begun += 1
        self.commands.pop(who, None)
        self.alive = alive
        self.commands[who] = Command(self._steps(version, retry=retry))
        self._advance(who, steps, fault)

    @precondition(lambda self: self.commands)
    @rule(who=st.sampled_from(COMMANDS), renews=st.booleans(), steps=st.integers(2, 16), fault=FAULTS)
    def continue_(self, who: str, renews: bool, steps: int, fault: tuple[int, Kind]) -> None:
        """A command continues. If it was frozen meanwhile, it may not have renewed its lease before."""
        who = who if who in self.commands else next(iter(self.commands))
        command = self.commands[who]
        if renews and command.held is not None:
            command.held.renew()
            if command.held.lost:
                HAPPENED["lost its lease"] += 1
                del self.commands[who]
                return
        self._advance(who, steps, fault)

    @rule(version=VERSIONS)
    def compare_what_is_done(self, version: str) -> None:
        """What planning takes for done is what the ledgers say."""
        found = list_runs(DESTINATION, self.lineage)
        expected: dict[str, tuple[int, str]] = {}
        for one in found:
            closed = one.is_finished and "planned_anew" in self._text(f"{one.run.run_id}/report.json")
            for key, written in one.ledgers.items():
                table = pq.read_table(pa.BufferReader(one.runs.get(key).data)).to_pylist()
                newest = max(row["generation"] for row in table)
                for row in table:
                    # What a run of another version wrote without a ledger is not somebody else's.
                    is_taken = (row["reason"] or "").startswith(writing.KEY_EXISTS)
                    assert not is_taken or row["key"] in self.foreign
                    left = row["status"] == "failed" and (closed or not one.is_finished)
                    if (
                        row["generation"] == newest
                        and not left
                        and written > expected.get(row["key"], (0, ""))[0]
                    ):
                        expected[row["key"]] = (written, row["source_etag"])
        state = request_of(self.storage, version).open_state()
        with open_done(state, found, may_write=False) as done:
            rows = done.execute("SELECT key, etag FROM done").fetchall()
        assert dict(rows) == {key: etag for key, (_, etag) in expected.items()}

    def teardown(self) -> None:
        """After all, undisturbed commands: nothing is lost, nothing written twice, and nothing is left to do."""
        try:
            if self.storage.objects:
                self._end()
                self._check_writes()
        finally:
            HAPPENED["faults"] += len(self.storage.struck)
            HAPPENED.update(self.storage.struck)
            HAPPENED["commands"] += self.begun
            self._cleanup.close()

    @property
    def lineage(self) -> str:
        return request_of(self.storage, "1").lineage

    def _text(self, key: str) -> str:
        return self.storage.objects[f"{RUNS}/{key}"].data.decode()

    def _sleep(self, seconds: float) -> None:
        """A command waits for the lease of the other one, which may be alive and renew it."""
        self.storage.sleep(seconds)
        fault, self.storage.fault = self.storage.fault, None
        for command in self.commands.values():
            if self.alive and command.held is not None:
                command.held.renew()
        self.storage.fault = fault

    def _advance(self, who: str, steps: int, fault: tuple[int, Kind]) -> None:
        """Some steps of a command, which may end it."""
        command = self.commands.pop(who)
        self.storage.fault = fault
        try:
            for _ in range(steps):
                command.held = next(command.steps)
            self.commands[who] = command
        except StopIteration:
            HAPPENED["ended"] += 1
        except (Killed, StorageError):
            HAPPENED["died"] += 1
        except UserError as error:
            if error.code not in EXPECTED:
                raise
            HAPPENED[error.code] += 1
        finally:
            self.storage.fault = None

    def _steps(self, version: str, *, retry: bool = False) -> Iterator[lease.Lease]:
        """What the flow does. It may be held up, or end for good, wherever it yields."""
        request = request_of(self.storage, version, retry=retry)
        owner = lease.this_process().model_copy(update={"machine": "elsewhere"})
        held = lease.take(request.destination, owner, LOG, self._sleep)
        yield held
        prepared = prepare(request)
        yield held
        if not isinstance(prepared, NothingToDo) and not prepared.is_reported:
            summaries = []
            for number, todo in prepared.todo.items():
                settings = prepared.run.settings
                shard = one_shard.open_shard(prepared.run.url, number, settings, todo.generation)
                for item in shard.items:
                    reading.fetch(item, shard.job)
                    yield held
                    if item.data is not None and item.row.key in self.undecodable:
                        item.fail(DataError("decode", "not now"))
                    writing.put(item, shard.job)
                    yield held
                summaries.append(one_shard.close_shard(shard, {}, 0.0))
                yield held
            finish(prepared, summaries, 0.0)
            yield held
        held.release()

    def _run_all(self) -> int:
        """Repeat a command until it finds nothing to do; returns how often it found something."""
        for count in range(self.begun + 2):
            before = len(self.storage.writes)
            for _ in self._steps("1"):
                pass
            if not any(one.path.endswith("/report.json") for one in self.storage.writes[before:]):
                return count
        raise AssertionError("there is always something to do")

    def _retry_all(self) -> None:
        """Retry all runs with failed images, each under the version that made it."""
        for _ in range(self.begun + 2):
            failed = [one for one in list_runs(DESTINATION, self.lineage) if one.is_finished and one.failed()]
            if not failed:
                return
            for _ in self._steps(failed[-1].run.made_of["software"], retry=True):
                pass
        raise AssertionError("there is always something to retry")

    def _end(self) -> None:
        self.commands.clear()
        self.undecodable.clear()
        self.storage.sleep(2 * lease.EXPIRED_SECONDS)
        # The first one resumes, the second one plans what has changed since that run was planned.
        assert self._run_all() <= 2
        self._retry_all()
        assert isinstance(prepare(request_of(self.storage, "1")), NothingToDo)
        self.damage_the_cache("file cut")
        self.compare_what_is_done("1")
        source = {
            path.rpartition("/")[2]: one.data for path, one in self.storage.objects.items() if "/in/" in path
        }
        outputs = {
            path.removeprefix("model/out/"): one.data
            for path, one in self.storage.objects.items()
            if path.startswith("model/out/") and not path.startswith((f"{RUNS}/", "model/out/_state/"))
        }
        assert outputs == source | dict.fromkeys(self.foreign, b"not ours")

    def _check_writes(self) -> None:
        """No output is written twice from one source, no ledger is replaced, and no lease is taken too early.

        Two versions may take turns at an output that neither has recorded.
        """
        ledgers: Counter[str] = Counter()
        made: dict[str, list[Mapping[str, str]]] = {}
        holder: tuple[str, bool, float] | None = None
        for write in self.storage.writes:
            if write.object is None:
                continue
            if write.path == LEASE:
                owner = lease.Owner.model_validate_json(write.object.data)
                now = write.object.modified.timestamp()
                if holder is not None and holder[0] != owner.token:
                    assert holder[1] or now - holder[2] >= lease.EXPIRED_SECONDS
                holder = owner.token, owner.released, now
            elif "/ledger/" in write.path:
                ledgers[write.path] += 1
            elif write.object.metadata:
                before = made.setdefault(write.path, [])
                marks = write.object.metadata
                if marks in before:
                    assert before[-1][SOURCE_ETAG] == marks[SOURCE_ETAG], write.path
                    assert before[-1][FINGERPRINT] != marks[FINGERPRINT], write.path
                before.append(marks)
        assert set(ledgers.values()) <= {1}, ledgers.most_common(3)


def run_programs(count: int, steps: int, *, always_the_same: bool) -> None:
    HAPPENED.clear()
    run_state_machine_as_test(
        Programs,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=always_the_same,
            suppress_health_check=list(HealthCheck),
        ),
    )
    programs, faults = HAPPENED["programs"], HAPPENED["faults"]
    print(f"{programs} programs, {faults / programs:.1f} faults each; {dict(HAPPENED)}")
    assert faults > programs


def test_short_programs() -> None:
    run_programs(10, 20, always_the_same=True)


def test_a_source_that_changes_after_its_run_was_planned_is_edited_by_the_next_command() -> None:
    program = Programs()
    program.begin({"a", "b", "c"})
    program.continue_("first", renews=False, steps=6, fault=NEVER)
    program.go_on("change", "a")
    program.teardown()


def test_what_a_later_run_has_edited_is_not_somebody_elses() -> None:
    """Another version could not decode an image; it changes and is edited; then the first run is retried."""
    program = Programs()
    program.begin({"a", "b", "c"})
    program.go_on("decode", "a")
    program.start("first", "3", retry=False, alive=False, fault=(0, "lost"), steps=16)
    program.go_on("change", "a")
    program.teardown()


@pytest.mark.long
def test_long_programs() -> None:
    run_programs(200, 40, always_the_same=False)
