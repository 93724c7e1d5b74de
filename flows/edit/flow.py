"""The edit flow: plan the shards, run one Prefect task per shard on Ray, and sum up the ledgers.

The flow's process never touches an image. It only plans, submits shards, and reads the summaries that they return.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.states import Completed, Failed

from attgan.errors import CapReached, UserError
from flows.edit import lease, metrics
from flows.edit.caps import Caps
from flows.edit.job import Model, resolve
from flows.edit.ledger import Summary
from flows.edit.plan.dry_run import describe
from flows.edit.plan.prepared_run import NothingToDo, PreparedRun, prepare
from flows.edit.removal.deleted_sources import mirror_deletions
from flows.edit.removal.outputs import Outcome
from flows.edit.report import finish, tables
from flows.edit.report.content import build_empty_report, failed_share
from flows.edit.run import EditRun, read_report
from flows.edit.run_counts import RunCounts
from flows.edit.shard.live_counts import live_prefix
from flows.runtime import cancelling, live_reports, reporting
from flows.runtime.cluster import capacity, nodes, tasks
from flows.runtime.running import Unfinished, cause_of, is_retryable, refusals_as_states, retries_if
from flows.settings import EditSettings
from flows.words import counted

FAILURE_SHARE_FROM = 1000
"""Images after which the share of failures can stop a run. One broken file among the first seven proves nothing."""

# Between two looks at the reports of the shards at work. To add up a thousand takes as long as to submit a shard.
_SECONDS_BETWEEN_LOOKS = 1.0


@task(
    name="edit-shard",
    task_run_name="shard-{shard:05d}",
    **retries_if(is_retryable),
)
def edit_shard_task(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """Edit one shard, on Ray."""
    from flows.edit.shard.one_shard import edit_shard

    return edit_shard(run_url, shard, settings, generation)


@task(
    name="isolate-shard",
    task_run_name="isolate-{shard:05d}",
    **retries_if(is_retryable),
)
def isolate_shard_task(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    """Edit one shard whose process died before, on Ray, in child processes."""
    from flows.edit.shard.isolation import edit_shard_in_isolation

    return edit_shard_in_isolation(run_url, shard, settings, generation)


@flow(
    name="edit",
    flow_run_name="edit {settings.destination}",
    task_runner=tasks.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def edit(settings: EditSettings) -> dict[str, Any] | State[Any]:
    """Edit every face image below a prefix, and write the results under the same keys below another prefix."""
    log = get_run_logger()
    if settings.dry_run:
        reporting.table("edit-dry-run", describe(resolve(settings)), "What an edit run would do")
        return {}
    started = time.monotonic()
    capacity.require(settings.cpus_per_shard, settings.gpus_per_shard, settings.node_timeout, log)
    nodes.require_reachable({"--source": settings.source, "--bundle": settings.bundle}, settings.destination)
    # Before the lease is written, so that a mistake leaves nothing behind.
    request = resolve(settings)
    with lease.held(request.destination, log) as held, _stop_checks(held, log) as check_stop:
        if settings.mirror_deletions:
            _show_removed(mirror_deletions(request, check_stop), log)
        start_worker = _worker_starter(settings, request.model)

        def planned() -> None:
            check_stop()
            start_worker()

        prepared = prepare(request, planned, log.warning)
        if isinstance(prepared, NothingToDo):
            empty = build_empty_report(request, prepared.not_planned)
            log.info(tables.one_line(empty))
            return _completed(empty)
        return _edit(prepared, started, check_stop, log)


def _show_removed(outcome: Outcome, log: reporting.Log) -> None:
    """Show what ``--mirror-deletions`` has removed."""
    log.info("without a source: %s", outcome.one_line())
    if rows := outcome.rows():
        reporting.table("edit-removed", rows, "Outputs without a source: removed, or left alone and why")


def _worker_starter(settings: EditSettings, model: Model) -> Callable[[], None]:
    """A function that starts one more worker at each call, until the cluster has no more resources and may add none.

    It is called for each planned shard: nodes are added and workers load the model while the planning continues. The
    first call starts none. A run of one shard is submitted at once, and its task would take another worker than the one
    that is busy with loading.
    """
    most = min(capacity.tasks_at_most(settings.cpus_per_shard, settings.gpus_per_shard), tasks.WINDOW)
    calls = 0

    def start() -> None:
        nonlocal calls
        calls += 1
        if 2 <= calls <= most + 1:
            tasks.start_worker(load, model, cpus=settings.cpus_per_shard, gpus=settings.gpus_per_shard)

    return start


def load(model: Model) -> None:
    """Load the model into a worker before its first shard arrives. An error is ignored here: the shard reports it."""
    with contextlib.suppress(Exception):
        from flows.edit.shard.model import editor_of

        editor_of(model)


@contextlib.contextmanager
def _stop_checks(held: lease.Lease, log: reporting.Log) -> Iterator[Callable[[], None]]:
    """A function that raises when the run has been cancelled, or when another run has taken over its destination."""
    with cancelling.ended_by_cancelling(log) as check_cancelled:

        def check_stop() -> None:
            check_cancelled()
            if held.lost:
                raise Unfinished(f"the lease of the destination was taken over by {held.lost}; stopped")

        yield check_stop


def _edit(
    prepared: PreparedRun,
    started: float,
    check_stop: Callable[[], None],
    log: reporting.Log,
) -> State[Any]:
    run = prepared.run
    work = f"{counted(run.inputs, 'image')} in {counted(run.shards, 'shard')}"
    log.info("run %s: %s, into %s", run.run_id, work, run.url)
    if run.unchanged:
        log.info("%s images were done by earlier runs and have not changed", f"{run.unchanged:,}")
    log.info("bundle %s; %s", run.made_of["bundle"][:16], prepared.request.bundle.config.licence)
    log.info("source attributes: %s", prepared.request.attributes_from)
    if prepared.is_reported:
        log.info("run %s has finished before", run.run_id)
        return _completed(read_report(prepared.store))
    caps = Caps(run.settings, started)
    submitted = time.monotonic()
    finished, lost = _run_shards(prepared, caps, check_stop, log)
    every = [*prepared.before, *finished]
    if lost:
        message = f"{len(lost)} of {run.shards} shards did not finish ({lost[0]}); {cancelling.RESUMES}"
        return Failed(message=message)
    if caps.reached:
        done = sum(summary.images for summary in every)
        raise CapReached(
            "deadline-reached",
            f"{caps.reached}: {done:,} of {run.inputs:,} images are done; the same command continues",
        )
    # Too many images have failed: nothing else leaves shards that were not begun.
    if len(every) < run.shards:
        message = _report_failed_share(run, every)
        return Failed(message=f"{message}; stopped. With a higher limit the same command resumes")
    ended = time.monotonic()
    # A run that has taken over the destination reports for both.
    check_stop()
    result, grid = finish.finish(
        prepared,
        finished,
        ended - started,
        shards_wall=ended - submitted,
        workers=capacity.tasks_now(run.settings.cpus_per_shard, run.settings.gpus_per_shard),
    )
    finish.show_in_ui(result, grid)
    for remark in result["remarks"]:
        log.warning("%s", remark)
    if failed_share(every) > run.settings.max_failed_share:
        return Failed(message=_report_failed_share(run, every) + f"; all results are listed in {run.url}")
    return _completed(result)


def _completed(result: dict[str, Any]) -> State[Any]:
    return Completed(message=tables.one_line(result), data=result)


def _run_shards(
    prepared: PreparedRun, caps: Caps, check_stop: Callable[[], None], log: reporting.Log
) -> tuple[list[Summary], list[str]]:
    """Run the shards that are left.

    Stops early at the deadline, when too many images have failed, or when so many shards in a row did not finish that
    the storage or the cluster must be gone.

    Returns:
        The summaries of those that finished, in the order in which they ended, and one line for each that did not.

    Raises:
        UserError: a worker refused. Every other shard would be refused, too.
    """
    run, settings = prepared.run, prepared.run.settings
    asks = settings.cpus_per_shard, settings.gpus_per_shard
    images = done = sum(summary.images for summary in prepared.before)
    failed = sum(summary.counts["failed"] for summary in prepared.before)
    progress = reporting.Progress("edit-progress", "images", run.inputs, log, done)
    counts = RunCounts(len(prepared.todo))
    finished: list[Summary] = []
    lost: list[str] = []
    lost_in_a_row = 0
    with live_reports.reports_below(live_prefix(run.url)) as reports, metrics.exposed(run, counts, done, log):
        next_look = -math.inf

        def look() -> None:
            nonlocal next_look
            check_stop()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
                counts.follow(reports())
                _say_progress(progress, counts, done)

        running = tasks.run_tasks(
            edit_shard_task,
            _calls(prepared, caps),
            cpus=settings.cpus_per_shard,
            gpus=settings.gpus_per_shard,
            node_timeout=settings.node_timeout,
            on_wait=look,
            fallback=lambda call, state: _in_isolation(call, state, log),
        )
        with contextlib.closing(running) as ended:
            for call, state in ended:
                if state.is_completed():
                    lost_in_a_row = 0
                    summary = state.result()
                    finished.append(summary)
                    counts.finish(summary)
                    images += summary.images
                    failed += summary.counts["failed"]
                    if images >= FAILURE_SHARE_FROM and failed / images > settings.max_failed_share:
                        break
                else:
                    cause = cause_of(state)
                    if isinstance(cause, UserError):
                        raise cause
                    lost.append(f"shard {call['shard']}: {state.message}")
                    counts.lose(call["shard"])
                    lost_in_a_row += 1
                    if lost_in_a_row > 2 * max(1, capacity.tasks_now(*asks)):
                        break
    progress.reach(done + counts.totals().images)
    return finished, lost


def _calls(prepared: PreparedRun, caps: Caps) -> Iterator[tasks.Call | None]:
    """The arguments of each shard's task; None while a cap on the rate lets no shard begin."""
    for shard in caps.spaced({shard: todo.images for shard, todo in prepared.todo.items()}):
        if shard is None:
            yield None
        else:
            yield {
                "run_url": prepared.run.url,
                "shard": shard,
                "settings": prepared.run.settings,
                "generation": prepared.todo[shard].generation,
            }


def _say_progress(progress: reporting.Progress, counts: RunCounts, done: int) -> None:
    """Show how many images are done, ``done`` of them by earlier commands, and what the shards do."""
    totals = counts.totals()
    at_work, waiting = totals.shards["running"], totals.shards["waiting"]
    if not (totals.images or at_work):
        # Workers start, or nodes.
        progress.start()
        progress.reach(done, f"{counted(waiting, 'shard')} waiting while workers start and load the model")
        return
    note = f"{counted(at_work, 'shard')} at work, {waiting:,} waiting"
    progress.reach(done + totals.images, note if totals.images else f"{note}; no batch is done yet")


def _in_isolation(call: tasks.Call, state: State[Any], log: reporting.Log) -> Any:
    """The task for a shard whose process died, perhaps because of one of its images; None for other endings."""
    if not (state.is_crashed() or isinstance(cause_of(state), MemoryError)):
        return None
    log.warning("shard %s: %s; it runs again in isolation", call["shard"], state.message)
    return isolate_shard_task


def _report_failed_share(run: EditRun, summaries: Sequence[Summary]) -> str:
    """Emit the Prefect event that automations wait for, and return the line that the run ends with."""
    limit = run.settings.max_failed_share
    failed = sum(summary.counts["failed"] for summary in summaries)
    images = sum(summary.images for summary in summaries)
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
