"""The edit flow: plan the shards, send one Prefect task per shard to Ray, add up the ledgers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.states import Completed, Failed

from attgan.errors import UserError
from flows.edit import finish, lease, report
from flows.edit.isolation import edit_shard_in_isolation
from flows.edit.ledger import Summary, read_summary
from flows.edit.preparation import NothingToDo, Preparation, check, describe, prepare
from flows.edit.run import Run
from flows.edit.shard import edit_shard
from flows.edit.streaming import editor_of
from flows.runtime import cancelling, cluster, nodes, reporting
from flows.runtime.running import Unfinished, cause_of, is_retryable, refusals_as_states
from flows.settings import EditSettings
from flows.storage import open_store

JUDGED_FROM = 1000
"""Images after which the share of failures can stop a run: one broken file among the first seven proves nothing."""


@task(
    name="edit-shard",
    task_run_name="shard-{shard:05d}",
    retries=2,
    retry_delay_seconds=[2, 20],
    retry_condition_fn=is_retryable,
)
def edit_shard_task(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """One shard, on Ray."""
    return edit_shard(run_url, shard, settings, generation)


@task(
    name="isolate-shard",
    task_run_name="isolate-{shard:05d}",
    retries=2,
    retry_delay_seconds=[2, 20],
    retry_condition_fn=is_retryable,
)
def isolate_shard_task(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """One shard whose process has died, on Ray."""
    return edit_shard_in_isolation(run_url, shard, settings, generation)


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
    bundle = check(settings)  # before the lease is written: a mistake leaves nothing behind
    with lease.held(open_store(settings.destination, option="--destination"), log) as held:
        prepared = prepare(settings, bundle, _worker_starter(settings, bundle.digest, resources), log.warning)
        if isinstance(prepared, NothingToDo):
            empty = report.build_empty_report(settings, prepared.passed_over)
            log.info(report.in_a_line(empty))
            return _completed(empty)
        with _stop_signs(held, log) as look:
            return _edit(prepared, resources, started, look, log)


def _worker_starter(settings: EditSettings, digest: str, resources: cluster.Resources) -> Callable[[], None]:
    """A function that starts one more worker while the run is planned, until there are as many as can be at work."""
    parallel = cluster.workers(resources, settings.cpus_per_shard, settings.gpus_per_shard)
    numbers = iter(range(parallel))

    def start() -> None:
        if next(numbers, None) is not None:
            cluster.start_worker(
                load, settings, digest, cpus=settings.cpus_per_shard, gpus=settings.gpus_per_shard
            )

    return start


def load(settings: EditSettings, digest: str) -> None:
    """Load what a worker's first shard needs, and this module with it. If that cannot be, the shard says why."""
    with contextlib.suppress(Exception):
        editor_of(settings, digest)


@contextlib.contextmanager
def _stop_signs(held: lease.Lease, log: reporting.Log) -> Iterator[Callable[[], None]]:
    """A function that raises once the run was cancelled, or its destination belongs to another one."""
    with cancelling.cancel_requests(log) as cancelled:

        def look() -> None:
            if why := cancelled():
                raise cancelling.RunCancelled(f"{why}; {cancelling.RESUMES}")
            if held.lost:
                raise Unfinished(f"the lease of the destination was taken over by {held.lost}; stopped")

        yield look


def _edit(
    prepared: Preparation,
    resources: cluster.Resources,
    started: float,
    look: Callable[[], None],
    log: reporting.Log,
) -> State[Any]:
    run = prepared.run
    log.info("run %s: %s images in %s shards, into %s", run.run_id, f"{run.inputs:,}", run.shards, run.url)
    if run.unchanged:
        log.info("%s images were done by earlier runs and have not changed", f"{run.unchanged:,}")
    log.info("bundle %s; %s", run.made_of["bundle"][:16], prepared.licence)
    log.info("source attributes: %s", prepared.attributes_from)
    if prepared.is_reported:
        log.info("run %s is finished already", run.run_id)
        return _completed(finish.read_report(prepared))
    summaries = {
        shard: read_summary(prepared.store, key)
        for shard, key in prepared.finished.items()
        if shard not in prepared.todo
    }
    before = list(summaries.values())
    if lost := _run_shards(prepared, resources, summaries, look, log):
        message = f"{len(lost)} of {run.shards} shards did not finish ({lost[0]}); the same command goes on"
        return Failed(message=message)
    if len(summaries) < run.shards:
        message = _failed_share_passed(run, summaries)
        return Failed(message=message + "; stopped, with a higher limit the same command goes on")
    result, grid = finish.finish(prepared, list(summaries.values()), time.monotonic() - started, before)
    finish.show_in_ui(result, grid)
    if report.failed_share(summaries.values()) > run.settings.max_failed_share:
        return Failed(message=_failed_share_passed(run, summaries) + f"; all results are listed in {run.url}")
    return _completed(result)


def _completed(result: dict[str, Any]) -> State[Any]:
    return Completed(message=report.in_a_line(result), data=result)


def _run_shards(
    prepared: Preparation,
    resources: cluster.Resources,
    summaries: dict[int, Summary],
    look: Callable[[], None],
    log: reporting.Log,
) -> list[str]:
    """Run what there is to do, adding to ``summaries``; returns a line for each shard that did not finish.

    Raises:
        UserError: what a worker refused; it would be refused again and again.
    """
    run, settings = prepared.run, prepared.run.settings
    done = sum(summary.images for summary in summaries.values())
    progress = reporting.Progress("edit-progress", "images", run.inputs, log, done)
    calls = (
        {"run_url": run.url, "shard": shard, "settings": settings, "generation": generation}
        for shard, generation in prepared.todo.items()
    )
    parallel = cluster.workers(resources, settings.cpus_per_shard, settings.gpus_per_shard)
    tasks = cluster.run_tasks(
        edit_shard_task,
        calls,
        cpus=settings.cpus_per_shard,
        gpus=settings.gpus_per_shard,
        parallel=parallel,
        on_wait=look,
        fallback=lambda call, state: _in_isolation(call, state, log),
    )
    lost: list[str] = []
    lost_in_a_row = 0
    images = failed = 0
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
            summaries[summary.shard] = summary
            progress.advance(summary.images)
            images += summary.images
            failed += summary.counts["failed"]
            if images >= JUDGED_FROM and failed / images > settings.max_failed_share:
                break
    return lost


def _in_isolation(call: cluster.Call, state: State[Any], log: reporting.Log) -> Any:
    """The task for a shard whose process has died, of one of its images perhaps; None where it ended otherwise."""
    if not (state.is_crashed() or isinstance(cause_of(state), MemoryError)):
        return None
    log.warning("shard %s: %s; it is done again in isolation", call["shard"], state.message)
    return isolate_shard_task


def _failed_share_passed(run: Run, summaries: dict[int, Summary]) -> str:
    """Tell Prefect's automations that too many images have failed; the line that the run ends with."""
    limit = run.settings.max_failed_share
    failed = sum(summary.counts["failed"] for summary in summaries.values())
    images = sum(summary.images for summary in summaries.values())
    message = f"{failed:,} of {images:,} images failed, more than --max-failed-share {limit:g} allows"
    reporting.event(
        "attgan.edit.failed-share-passed",
        f"attgan.edit-run.{run.run_id}",
        {
            "failed_share": failed / max(images, 1),
            "limit": limit,
            "run_url": run.url,
            "message": message,
        },
    )
    return message
