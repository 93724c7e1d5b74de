"""Close unfinished runs of another version when a new run of the same lineage begins.

A run only resumes where the output has the same bytes: with the same version of this program and its libraries, on the
same kind of device. Otherwise it is closed as it stands. The images that its ledgers record as edited, copied or
skipped count as done, and the new run plans the rest, including the failed ones.

The order of the writes makes it safe to kill the process at any point: first the new run is planned and begun, and then
the old run's report marks it as closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.edit.fingerprint import hash_of
from flows.edit.ledger import Summary, finished_shards, read_summaries
from flows.edit.plan.runs import ListedRun
from flows.edit.removal.removed import removed_since_it_began
from flows.edit.report.content import build_report
from flows.edit.run import EditRun, write_report
from flows.storage import Store, join, open_store


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that has begun, has not finished, and cannot resume.

    Attributes:
        run: from its ``run.json``.
        store: its folder.
        summaries: of the valid ledger of each finished shard, in the order of the shards.
        differs: what has changed since it began, in words.
    """

    run: EditRun
    store: Store
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

    def close(self) -> None:
        """Write its report, which marks it as finished.

        Raises:
            StorageError: the storage failed after its retries.
        """
        images = sum(summary.images for summary in self.summaries)
        held = self.run.model_copy(update={"inputs": images, "shards": len(self.summaries)})
        removed = removed_since_it_began(self.run)
        report = build_report(held, self.summaries, 0.0, self.summaries, removed=removed)
        report |= {"planned_anew": self.run.inputs - self.done}
        write_report(self.store, report)


def find_unfinished(runs: Iterable[ListedRun], made_of: dict[str, object]) -> list[UnfinishedRun]:
    """Find the unfinished ones of a lineage's runs whose fingerprint is not that of ``made_of``.

    Raises:
        StorageError: the storage failed after its retries.
    """
    found = []
    for listed in runs:
        run = listed.run
        if not listed.is_finished and run.fingerprint != hash_of(made_of):
            store = open_store(join(listed.runs.url, run.run_id), option="--destination")
            summaries = read_summaries(store, finished_shards(store).values())
            found.append(UnfinishedRun(run, store, summaries, _differences(run.made_of, made_of)))
    return found


def _differences(before: dict[str, object], now: dict[str, object]) -> str:
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join(f"{name} {before.get(name)}" for name in names)
