"""Close unfinished runs of another version when a new run of the same lineage begins.

A run only resumes where the output has the same bytes: with the same version of this program and its libraries, on the
same kind of device. Otherwise it is closed as it stands. The images that its ledgers record as edited, copied or
skipped count as done, and the new run plans the rest, including the failed ones.

The order of the writes makes it safe to kill the process at any point: first the state receives what is done, then the
new run is planned and begun, and last the old run's report marks it as closed.
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
from flows.edit.run import RUNS, EditRun, hash_of, object_exists, read_run, run_url
from flows.edit.state import Ended, Settled, State
from flows.storage import Store, join, open_store

_REPORT = "report.json"
_NUMBERED = re.compile(r"([0-9a-f]{16})-(\d{4,})")


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that has begun, has not finished, and cannot resume.

    Attributes:
        run: from its ``run.json``.
        store: its folder.
        ledgers: the valid ledger of each finished shard, in the order of the shards.
        summaries: of these ledgers.
        differs: what has changed since it began, in words.
    """

    run: EditRun
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
            f"run {self.run.run_id} began with {self.differs} and has not finished. It is closed as it stands: "
            f"{self.done:,} of its {self.run.inputs:,} images count as done, and the rest is planned again"
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
        """Add what is done to the lineage's state. Calling it again changes nothing.

        Raises:
            StorageError: the storage failed after its retries.
        """
        retried = sum(summary.generation for summary in self.summaries)
        # failed=0 because the new run edits the failed images again, so --retry-failed must not.
        state.add(Ended(run_id=self.run.run_id, retried=retried, failed=0), self.settled)

    def close(self) -> None:
        """Write its report, which marks it as finished.

        Raises:
            StorageError: the storage failed after its retries.
        """
        images = sum(summary.images for summary in self.summaries)
        held = self.run.model_copy(update={"inputs": images, "shards": len(self.summaries)})
        report = build_report(held, self.summaries, 0.0, self.summaries)
        report |= {"planned_anew": self.run.inputs - self.done}
        self.store.put(_REPORT, json.dumps(report, indent=2).encode(), content_type="application/json")


def find_unfinished(destination: str, lineage: str, made_of: dict[str, object]) -> list[UnfinishedRun]:
    """Find the unfinished runs of a lineage whose fingerprint is not that of ``made_of``.

    Raises:
        StorageError: the storage failed after its retries.
    """
    found = []
    for run_id in _newest_ids(destination):
        store = open_store(run_url(destination, run_id), option="--destination")
        if object_exists(store, _REPORT):
            continue
        run = None
        # A damaged run, or one of a later version, is left as it is.
        with contextlib.suppress(UserError):
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

    A numbered run only begins when all before it have finished. So the last one of each name is enough, and a nightly
    schedule need not read a year of runs.
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
