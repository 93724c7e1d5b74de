"""The edit flow: plan the shards, send one Prefect task per shard to Ray, add up the ledgers."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.states import Failed

from attgan.errors import UserError
from flows import cluster, nodes, reporting
from flows.edit import report
from flows.edit.ledger import Summary, finished_shards, read_summary
from flows.edit.preparation import Preparation, describe, prepare
from flows.edit.run import Run, is_there
from flows.edit.shard import edit_shard
from flows.running import cause_of, may_pass, refusals_as_states
from flows.settings import EditSettings
from flows.storage import join

JUDGED_FROM = 1000
"""Images after which the share of failures can stop a run: one broken file among the first seven proves nothing."""


@task(
    name="edit-shard",
    task_run_name="shard-{shard:05d}",
    retries=2,
    retry_delay_seconds=[2, 20],
    retry_condition_fn=may_pass,
)
def edit_shard_task(run_url: str, shard: int, settings: EditSettings) -> Summary:
    """One shard, on Ray."""
    return edit_shard(run_url, shard, settings)


@flow(
    name="edit",
    flow_run_name="edit {settings.destination}",
    task_runner=cluster.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def edit(settings: EditSettings) -> dict[str, Any] | State[Any]:
    """Edit every face image below a prefix and write the results, under the same keys, below another one."""
    log = get_run_logger()
    if settings.dry_run:
        reporting.table("edit-dry-run", describe(settings), "What an edit run would do")
        return {}
    started = time.monotonic()
    resources = cluster.require_ray(settings.cpus_per_shard, settings.gpus_per_shard)
    nodes.require_reachable({"--source": settings.source, "--bundle": settings.bundle}, settings.destination)
    prepared = prepare(settings)
    run = prepared.run
    log.info("run %s: %s images in %s shards, into %s", run.run_id, f"{run.inputs:,}", run.shards, run.url)
    log.info("bundle %s; %s", run.made_of["bundle"][:16], prepared.licence)
    log.info("source attributes: %s", prepared.attributes_from)
    if is_there(prepared.store, "report.json"):
        log.info("run %s is finished already", run.run_id)
        return json.loads(prepared.store.get("report.json").data)
    before = [read_summary(prepared.store, key) for key in finished_shards(prepared.store).values()]
    summaries = list(before)
    if lost := _run_shards(run, resources, summaries, log):
        message = f"{len(lost)} of {run.shards} shards did not finish ({lost[0]}); the same command goes on"
        return Failed(message=message)
    if len(summaries) < run.shards:
        message = _too_many_failures(run, summaries)
        return Failed(message=message + "; stopped, with a higher limit the same command goes on")
    result = _finish(prepared, summaries, time.monotonic() - started, before)
    if report.failed_share(summaries) > settings.max_failed_share:
        return Failed(message=_too_many_failures(run, summaries) + f"; all results are listed in {run.url}")
    return result


def _run_shards(
    run: Run, resources: cluster.Resources, summaries: list[Summary], log: reporting.Log
) -> list[str]:
    """Run what has no ledger yet, adding to ``summaries``; returns a line for each shard that did not finish.

    Raises:
        UserError: what a worker refused; it would be refused again and again.
    """
    settings = run.settings
    done = sum(summary.images for summary in summaries)
    progress = reporting.Progress("edit-progress", "images", run.inputs, log, done)
    finished = {summary.shard for summary in summaries}
    todo = [shard for shard in range(run.shards) if shard not in finished]
    calls = ({"run_url": run.url, "shard": shard, "settings": settings} for shard in todo)
    parallel = cluster.workers(resources, settings.cpus_per_shard, settings.gpus_per_shard)
    tasks = cluster.run_tasks(
        edit_shard_task, calls, cpus=settings.cpus_per_shard, gpus=settings.gpus_per_shard, parallel=parallel
    )
    lost: list[str] = []
    lost_in_a_row = 0
    with contextlib.closing(tasks) as ended:
        for call, state in ended:
            if not state.is_completed():
                cause = cause_of(state)
                if isinstance(cause, UserError):
                    raise cause
                lost.append(f"shard {call['shard']}: {state.message}")
                lost_in_a_row += 1
                if lost_in_a_row > 2 * parallel:
                    break  # not one shard's bad luck: the storage or the cluster is gone
                continue
            lost_in_a_row = 0
            summary = state.result()
            summaries.append(summary)
            progress.advance(summary.images)
            images = sum(s.images for s in summaries)
            if images >= JUDGED_FROM and report.failed_share(summaries) > settings.max_failed_share:
                break
    return lost


def _too_many_failures(run: Run, summaries: list[Summary]) -> str:
    limit = run.settings.max_failed_share
    failed, images = sum(s.counts["failed"] for s in summaries), sum(s.images for s in summaries)
    return f"{failed:,} of {images:,} images failed, more than --max-failed-share {limit:g} allows"


def _finish(
    prepared: Preparation, summaries: list[Summary], wall: float, before: list[Summary]
) -> dict[str, Any]:
    """Write and show the report; the run is over when ``report.json`` is there."""
    run, store = prepared.run, prepared.store
    result = report.build_report(run, summaries, wall, before)
    grid = report.before_after(run, result["sample"])
    if grid is not None:
        store.put("before-after.jpg", grid, content_type="image/jpeg")
        reporting.picture("edit-before-after", grid, f"Before and after, run {run.run_id}")
        result["picture"] = join(run.url, "before-after.jpg")
    store.put("report.json", json.dumps(result, indent=2).encode(), content_type="application/json")
    reporting.table("edit-counts", report.count_rows(result), f"Run {run.run_id}: inputs by outcome")
    reporting.table("edit-stages", report.stage_rows(result), f"Run {run.run_id}: seconds and rate per stage")
    if reasons := report.reason_rows(result):
        reporting.table(
            "edit-reasons", reasons, f"Run {run.run_id}: skipped, failed and not planned, by reason"
        )
    return result
