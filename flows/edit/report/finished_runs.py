"""Finished runs, found by the URL of a destination or of their folder, and their reports."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from attgan.errors import UserError
from flows.edit.ledger import finished_shards
from flows.edit.run import LATEST, EditRun, read_report, read_run, run_url
from flows.settings import ReportSettings
from flows.storage import Store, open_store


def find_run(url: str) -> tuple[EditRun, Store]:
    """The run and its folder, by the URL of the folder, or of a destination: the last run that finished there.

    Raises:
        UserError: there is no run.
        StorageError: the storage failed after its retries.
    """
    store = open_store(url, option="--run")
    store.check()
    with contextlib.suppress(FileNotFoundError):
        store = open_store(run_url(url, json.loads(store.get(LATEST).data)["run_id"]), option="--run")
    run = read_run(store)
    if run is None:
        raise UserError(
            "run-missing",
            f"--run {url}: neither an edit run's folder nor a destination where a run has finished",
        )
    return run, store


def find_report(settings: ReportSettings) -> dict[str, Any]:
    """Read the report of a run, see :func:`find_run`.

    Raises:
        UserError: there is no run, or it has not finished.
        StorageError: the storage failed after its retries.
    """
    run, store = find_run(settings.run)
    try:
        return read_report(store)
    except FileNotFoundError:
        done = len(finished_shards(store))
        raise UserError(
            "run-unfinished", f"--run {run.url}: has not finished: {done:,} of {run.shards:,} shards are done"
        ) from None
