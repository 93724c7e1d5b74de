"""The end of an edit run: its report, in its folder and in the UI."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from flows.edit.ledger import Summary
from flows.edit.plan.prepared_run import PreparedRun
from flows.edit.removal.removed import removed_since_it_began
from flows.edit.report import tables
from flows.edit.report.content import build_report
from flows.edit.report.picture import before_after
from flows.edit.run import LATEST, PICTURE, write_report
from flows.runtime import reporting
from flows.storage import join


def finish(
    prepared: PreparedRun,
    summaries: Iterable[Summary],
    wall: float,
    *,
    shards_wall: float = 0.0,
    workers: int = 0,
) -> tuple[dict[str, Any], bytes | None]:
    """Write a run's report, which is written last and marks the run as finished.

    If the command dies before, the same command resumes and repeats the steps, which is harmless. The run of a retry
    has a report already, which until then counts the failures before the retry.

    Args:
        prepared: the run.
        summaries: one for each shard that this command has finished.
        wall: seconds that this command took.
        shards_wall, workers: as in :func:`~.content.build_report`.

    Returns:
        The report, and a JPEG of a few images before and after; None if none was edited.

    Raises:
        ConservationError: inputs and ledgers do not add up.
        StorageError: the storage failed after its retries.
    """
    run, store = prepared.run, prepared.store
    every = sorted([*prepared.before, *summaries], key=lambda summary: summary.shard)
    result = build_report(
        run,
        every,
        wall,
        prepared.before,
        removed=removed_since_it_began(run),
        shards_wall=shards_wall,
        workers=workers,
    )
    if run.settings.no_faces:
        result["sample"] = []
    grid = before_after(prepared.request, result["sample"])
    if grid is not None:
        store.put(PICTURE, grid, content_type="image/jpeg")
        result["picture"] = join(run.url, PICTURE)
    latest = json.dumps({"run_id": run.run_id}).encode()
    # The run that `attgan report DESTINATION` finds.
    prepared.request.destination.put(LATEST, latest, content_type="application/json")
    write_report(store, result)
    return result, grid


def show_in_ui(result: dict[str, Any], grid: bytes | None) -> None:
    """Show the report as artifacts of the flow run."""
    # The UI cuts titles: what tells them apart comes first.
    run = f"run {result['run_id']}"
    if grid is not None:
        reporting.picture("edit-before-after", grid, f"Before and after, {run}")
    reporting.markdown(
        "edit-look",
        f"`attgan preview {result['url']}` writes one HTML page beside the report, to look at the results, the "
        "least sure first, and at what failed. It prints a link that a browser opens.",
        f"Look at the results, {run}",
    )
    reporting.table("edit-counts", tables.count_rows(result), f"Inputs by outcome, {run}")
    reporting.table("edit-stages", tables.stage_rows(result), f"Seconds and rate per stage, {run}")
    reporting.table("edit-slowest-shards", tables.slowest_rows(result), f"Slowest shards, {run}")
    if reasons := tables.reason_rows(result):
        reporting.table("edit-reasons", reasons, f"Skipped, failed and not planned, by reason, {run}")
    if failures := tables.failure_rows(result):
        reporting.table("edit-failures", failures, f"Failed images and their ledgers, {run}")
