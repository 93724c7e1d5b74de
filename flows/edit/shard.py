"""One shard of an edit run, in one process: fetch → decode → edit → encode → put, all at once, then its ledger.

Bad data ends as a row; an infrastructure fault leaves as an exception and the shard starts again (what it had put is
recognised as ours and counts as done).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import socket
import time
from typing import Any

from flows.edit import plan
from flows.edit.item import Item
from flows.edit.ledger import Row, Summary, summarise, write_ledger
from flows.edit.run import check_versions, read_run
from flows.edit.streaming import stream
from flows.settings import EditSettings
from flows.storage import open_store

SAMPLE = 12


def edit_shard(run_url: str, shard: int, settings: EditSettings) -> Summary:
    """Edit one planned shard and write its ledger.

    Args:
        run_url: the run's folder, with ``run.json`` and the plan.
        shard: its number.
        settings: of the command at work; what may change in a run is taken from them (:data:`MAY_CHANGE`).

    Raises:
        StorageError: the storage failed after its retries. Nothing is lost: the shard can be run again.
        UserError: the bundle was replaced, or a library here is not of the version the run was begun with.
    """
    started = time.perf_counter()
    run_store = open_store(run_url)
    begun = read_run(run_store)
    if begun is None:
        raise FileNotFoundError(f"{run_url}: has no run.json")
    check_versions(begun)
    run = begun.under(settings)
    rows = plan.read_shard(run_store, run, shard)
    items = [Item(Row(row["key"], row["key"], row["etag"]), row["size"], row["labels"]) for row in rows]
    stages = asyncio.run(stream(run, items))
    done = [item.row for item in items]
    summary = summarise(shard, done, choose_sample(row.key for row in done if row.status == "edited"))
    summary.seconds = {stage.name: round(stage.seconds, 3) for stage in stages}
    summary.wall = round(time.perf_counter() - started, 3)
    summary.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    summary.host = f"{socket.gethostname()}/{os.getpid()}"
    return write_ledger(run_store, 0, done, summary)


def choose_sample(keys: Any, count: int = SAMPLE) -> list[str]:
    """A few keys, the same ones whatever the order: those whose hash is smallest."""
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())[:count]
