"""The end of an edit run: its report.

Also the reading of reports.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from attgan.errors import UserError
from flows.edit.ledger import Summary, finished_shards
from flows.edit.plan.prepared_run import PreparedRun
from flows.edit.report import report
from flows.edit.run import LATEST, REPORT, EditRun, read_run, run_url
from flows.runtime import reporting
from flows.settings import ReportSettings
from flows.storage import Store, join, open_store


def finish(
    prepared: PreparedRun, summaries: Sequence[Summary], wall: float, before: Sequence[Summary]
) -> tuple[dict[str, Any], bytes | None]:
    """Write a run's report, which is written last and marks the run as finished.

    If the command dies before, the same command resumes and repeats the steps, which is harmless. The run of a retry
    has a report already, which until then counts the failures before the retry.

    Args:
        prepared: the run.
        summaries: one for each shard's ledger.
        wall: seconds that this command took.
        before: the summaries of the shards that an earlier command finished.

    Returns:
        The report, and a JPEG of a few images before and after; None if none was edited.

    Raises:
        ConservationError: inputs and ledgers do not add up.
        StorageError: the storage failed after its retries.
    """
    run, store = prepared.run, prepared.store
    in_order = sorted(summaries, key=lambda summary: summary.shard)
    result = report.build_report(run, in_order, wall, before)
    grid = report.before_after(prepared.request, result["sample"])
    if grid is not None:
        store.put("before-after.jpg", grid, content_type="image/jpeg")
        result["picture"] = join(run.url, "before-after.jpg")
    latest = json.dumps({"run_id": run.run_id}).encode()
    # The run that `attgan report DESTINATION` finds.
    prepared.request.destination.put(LATEST, latest, content_type="application/json")
    store.put(REPORT, json.dumps(result, indent=2).encode(), content_type="application/json")
    return result, grid


def read_report(run: Store) -> dict[str, Any]:
    """Read the report of a finished run.

    Raises:
        FileNotFoundError: the run has not finished.
    """
    found: dict[str, Any] = json.loads(run.get(REPORT).data)
    return found


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


def show_in_ui(result: dict[str, Any], grid: bytes | None) -> None:
    """Show the report as artifacts of the flow run."""
    of = f"Run {result['run_id']}"
    if grid is not None:
        reporting.picture("edit-before-after", grid, f"Before and after, {of[0].lower()}{of[1:]}")
    reporting.table("edit-counts", report.count_rows(result), f"{of}: inputs by outcome")
    reporting.table("edit-stages", report.stage_rows(result), f"{of}: seconds and rate per stage")
    reporting.table("edit-slowest-shards", report.slowest_rows(result), f"{of}: the slowest shards")
    if reasons := report.reason_rows(result):
        reporting.table("edit-reasons", reasons, f"{of}: skipped, failed and not planned, by reason")
    if failures := report.failure_rows(result):
        reporting.table("edit-failures", failures, f"{of}: failed images, and their ledgers")
