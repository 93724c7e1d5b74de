"""Unfinished runs of another version, closed as they stand when a new run of the same lineage begins.

A run is only resumed by what writes the same bytes: the same version of this program and of its libraries, on the same
kind of device. Anything else closes it: what its ledgers have as edited, copied or skipped counts as done, and the new
run plans the rest, failed images included.

The order of writing makes it safe to be killed in between. First the state gets what is done, then the new run is
planned and begun, and the old run's report, by which it counts as closed, is written last.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyarrow import fs

from attgan.errors import UserError
from flows.edit.ledger import Summary, finished_shards, read_rows, read_summary
from flows.edit.report import build_report
from flows.edit.run import RUNS, Run, hash_of, is_there, read_run, run_url
from flows.edit.state import Ended, Settled, State
from flows.storage import Store, join, open_store

_REPORT = "report.json"
_NUMBERED = re.compile(r"([0-9a-f]{16})-(\d{4,})")


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that has begun, has not finished, and cannot be resumed.

    Attributes:
        run: as its ``run.json`` has it.
        store: its folder.
        ledgers: of each finished shard the ledger that counts, in the order of the shards.
        summaries: of these ledgers.
        differs: what it was begun with that is different now, in words.
    """

    run: Run
    store: Store
    ledgers: list[str]
    summaries: list[Summary]
    differs: str

    @property
    def done(self) -> int:
        """How many inputs count as done."""
        return sum(summary.images - summary.counts["failed"] for summary in self.summaries)

    def __str__(self) -> str:
        """One line for the log."""
        return (
            f"run {self.run.run_id} was begun with {self.differs} and is not finished: it is closed as it stands, "
            f"{self.done:,} of its {self.run.inputs:,} images count as done, and the rest is planned anew"
        )

    def settled(self) -> Iterator[Settled]:
        """The inputs that count as done, in the order of their keys."""
        names = ["key", "source_etag", "output_etag", "status"]
        for key in self.ledgers:
            table = read_rows(self.store, key)
            for row in zip(*(table.column(name).to_pylist() for name in names), strict=True):
                settled = Settled(*row)
                if settled.status != "failed":
                    yield settled

    def settle(self, state: State) -> None:
        """Take what is done into the lineage's state. Done twice, it changes nothing.

        Raises:
            StorageError: the storage failed after its retries.
        """
        retried = sum(summary.generation for summary in self.summaries)
        # failed=0: nothing of it is left to --retry-failed, because the new run tries those images again.
        state.add(Ended(run_id=self.run.run_id, retried=retried, failed=0), self.settled)

    def close(self) -> None:
        """Write its report. From then on it counts as ended.

        Raises:
            StorageError: the storage failed after its retries.
        """
        images = sum(summary.images for summary in self.summaries)
        held = self.run.model_copy(update={"inputs": images, "shards": len(self.summaries)})
        report = build_report(held, self.summaries, 0.0, self.summaries)
        report |= {"planned_anew": self.run.inputs - self.done}
        self.store.put(_REPORT, json.dumps(report, indent=2).encode(), content_type="application/json")


def find_unfinished(destination: str, lineage: str, made_of: dict[str, object]) -> list[UnfinishedRun]:
    """The unfinished runs of a lineage that were made of something else than ``made_of``.

    Raises:
        StorageError: the storage failed after its retries.
    """
    found = []
    for run_id in _newest_ids(destination):
        store = open_store(run_url(destination, run_id), option="--destination")
        if is_there(store, _REPORT):
            continue
        run = None
        with contextlib.suppress(UserError):  # damaged, or a later version's: not ours to close
            run = read_run(store)
        if run is None or run.lineage != lineage or run.fingerprint == hash_of(made_of):
            continue
        ledgers = [key for _, key in sorted(finished_shards(store).items())]
        summaries = [read_summary(store, key) for key in ledgers]
        found.append(UnfinishedRun(run, store, ledgers, summaries, _differences(run.made_of, made_of)))
    return found


def _differences(before: dict[str, object], now: dict[str, object]) -> str:
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join(f"{name} {before.get(name)}" for name in names)


def _newest_ids(destination: str) -> list[str]:
    """The ids of the runs that may be unfinished.

    A numbered run only begins when those before it have ended. So the last one of each name is enough, and a nightly
    schedule does not have to look at a year of them.
    """
    filesystem, path = open_store(join(destination, RUNS), option="--destination").filesystem()
    newest: dict[str, tuple[int, str]] = {}
    for info in filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if info.type != fs.FileType.Directory:
            continue
        run_id = info.base_name
        numbered = _NUMBERED.fullmatch(run_id)
        name, number = (numbered[1], int(numbered[2])) if numbered else (run_id, 0)
        newest[name] = max(newest.get(name, (number, run_id)), (number, run_id))
    return sorted(run_id for _, run_id in newest.values())
