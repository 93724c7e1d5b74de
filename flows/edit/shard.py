"""One shard of an edit run, in one process: fetch → decode → edit → encode → put, all at once, then its ledger.

Bad data ends as a row; an infrastructure fault leaves as an exception and the shard starts again (what it had put is
recognised as ours and counts as done).
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flows.edit import plan
from flows.edit.cpu_limit import cpu_limit
from flows.edit.item import Item
from flows.edit.ledger import Row, Summary, ledger_key, read_rows, summarise, write_ledger
from flows.edit.naming import output_key
from flows.edit.run import Run, check_versions, read_run
from flows.edit.streaming import stream
from flows.settings import EditSettings
from flows.storage import Store, open_store

STUCK_SECONDS = 30 * 60
"""Of CPU time without an image done, after which the process is killed: one of them keeps it busy for ever."""


@dataclass(frozen=True)
class Shard:
    """A shard that is to be done, or whose failed inputs are to be tried again.

    Attributes:
        run: under the settings of the command at work.
        store: the run's folder.
        rows: of all its inputs, in the order of the plan; those to do are filled on the way.
        items: what there is to do.
    """

    run: Run
    store: Store
    number: int
    generation: int
    rows: list[Row]
    items: list[Item]


def edit_shard(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """Edit one planned shard and write its ledger.

    Args:
        run_url: the run's folder, with ``run.json`` and the plan.
        shard: its number.
        settings: of the command at work; what may change in a run is taken from them (:data:`MAY_CHANGE`).
        generation: of the ledger. 0 does all inputs; a higher one those that failed in the one before.

    A process that works on and on and gets nothing done is killed (:data:`STUCK_SECONDS`).

    Raises:
        StorageError: the storage failed after its retries. Nothing is lost: the shard can be run again.
        UserError: the bundle was replaced, or a library here is not of the version the run was begun with.
    """
    started = time.perf_counter()
    opened = open_shard(run_url, shard, settings, generation)
    with cpu_limit(STUCK_SECONDS) as alive:
        stages = asyncio.run(stream(opened.run, opened.items, alive))
    return close_shard(opened, {stage.name: stage.seconds for stage in stages}, time.perf_counter() - started)


def open_shard(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Shard:
    """Read a shard's plan, and for a higher generation the ledger before it. Arguments and errors as above."""
    store = open_store(run_url)
    begun = read_run(store)
    if begun is None:
        raise FileNotFoundError(f"{run_url}: has no run.json")
    check_versions(begun)
    run = begun.under(settings)
    planned = plan.read_shard(store, run, shard)
    items = [
        Item(
            Row(row["key"], output_key(row["key"], run.settings.format), row["etag"], generation=generation),
            row["size"],
            row["labels"],
            row["replaces"],
            row.get("style"),
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
    return Shard(run, store, shard, generation, rows, items)


def close_shard(
    shard: Shard, seconds: Mapping[str, float], wall: float, *, isolated: bool = False
) -> Summary:
    """Write the ledger of a shard whose rows are filled; returns what it adds up to.

    Args:
        shard: from :func:`open_shard`.
        seconds: per stage.
        wall: seconds in all.
        isolated: whether child processes of this one have edited it.
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
