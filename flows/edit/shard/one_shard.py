"""One shard of an edit run, in one process: edit all its inputs, then write its ledger.

Bad data becomes a row of the ledger. A failure of the infrastructure is raised, and the shard starts again: outputs
that the first attempt wrote are recognised by their metadata and count as done.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flows.edit.fingerprint import check_versions
from flows.edit.job import EditJob, job_of
from flows.edit.ledger import Row, Summary, ledger_key, read_rows, summarise, write_ledger
from flows.edit.naming import output_key
from flows.edit.plan import shard_plans as plan
from flows.edit.run import read_run
from flows.edit.shard.item import Item
from flows.edit.shard.live_counts import live_counts
from flows.edit.shard.stall_limit import stall_limit
from flows.edit.shard.streaming import stream
from flows.settings import EditSettings, seconds_of
from flows.storage import Store, open_store


@dataclass(frozen=True)
class Shard:
    """A shard to edit, or a shard whose failed inputs are to be retried.

    Attributes:
        job: of the run, with the settings of the current command.
        store: the run's folder.
        rows: one for each input, in the order of the plan. The stages fill in those of ``items``.
        items: the inputs to edit.
    """

    job: EditJob
    store: Store
    number: int
    generation: int
    rows: list[Row]
    items: list[Item]

    @property
    def kept(self) -> list[Row]:
        """The rows that a retry leaves as they are."""
        retried = {id(item.row) for item in self.items}
        return [row for row in self.rows if id(row) not in retried]


def edit_shard(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """Edit one planned shard and write its ledger.

    A process that gets nothing done for ``stall_timeout`` is ended.

    Args:
        run_url: the run's folder, with ``run.json`` and the plan.
        shard: its number.
        settings: of the current command. Those that may change within a run are taken from here
            (:data:`flows.edit.fingerprint.CURRENT`).
        generation: of the ledger. 0 edits all inputs; a higher number those that failed in the generation before.

    Raises:
        StorageError: the storage failed after its retries. Nothing is lost: the shard can run again.
        UserError: the bundle was replaced, or a library on this machine has another version than at the run's start.
    """
    started = time.perf_counter()
    opened = open_shard(run_url, shard, settings, generation)
    with (
        stall_limit(seconds_of(settings.stall_timeout)) as alive,
        live_counts(run_url, shard, opened.kept) as add,
    ):
        stages = asyncio.run(stream(opened.job, opened.items, alive, add))
    return close_shard(opened, {stage.name: stage.seconds for stage in stages}, time.perf_counter() - started)


def open_shard(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Shard:
    """Read a shard's plan, and for a retry the ledger before. Arguments and errors as for :func:`edit_shard`."""
    store = open_store(run_url)
    begun = read_run(store)
    if begun is None:
        raise FileNotFoundError(f"{run_url}: has no run.json")
    check_versions(begun.made_of)
    run = begun.under(settings)
    planned = plan.read_shard(store, run, shard)
    items = [
        Item(
            Row(row["key"], output_key(row["key"], run.settings.format), row["etag"], generation=generation),
            row["size"],
            row["labels"],
            row["replaces"],
            row.get("style"),
            row.get("refused"),
        )
        for row in planned
    ]
    rows = [item.row for item in items]
    if generation:
        before = read_rows(store, ledger_key(shard, generation - 1)).to_pylist()
        failed = [row["status"] == "failed" for row in before]
        for row, last in zip(rows, before, strict=True):
            row.attempts = last["attempts"] + 1
        rows = [row if again else Row(**last) for row, last, again in zip(rows, before, failed, strict=True)]
        items = [item for item, again in zip(items, failed, strict=True) if again]
    return Shard(job_of(run), store, shard, generation, rows, items)


def close_shard(
    shard: Shard, seconds: Mapping[str, float], wall: float, *, isolated: bool = False
) -> Summary:
    """Write the ledger of a shard whose rows are filled in; returns its summary.

    Args:
        shard: from :func:`open_shard`.
        seconds: busy time per stage.
        wall: seconds in total.
        isolated: whether child processes of this process edited it.
    """
    summary = summarise(shard.number, shard.generation, shard.rows)
    summary.found = sum(item.found for item in shard.items)
    summary.seconds = {stage: round(busy, 3) for stage, busy in seconds.items()}
    summary.wall = round(wall, 3)
    summary.isolated = isolated
    whose = resource.RUSAGE_CHILDREN if isolated else resource.RUSAGE_SELF
    summary.peak_mb = resource.getrusage(whose).ru_maxrss // 1024
    summary.host = f"{socket.gethostname()}/{os.getpid()}"
    return write_ledger(shard.store, shard.rows, summary)
