"""The edit flow: plan the shards, send one Prefect task per shard to Ray, add up the ledgers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.states import Failed

from attgan.attributes import parse_edits
from attgan.errors import UserError
from attgan.models import Bundle, load_bundle
from flows import cluster, reporting
from flows.edit import plan, report
from flows.edit.ledger import Summary, finished_shards, read_summary
from flows.edit.plan import Run
from flows.edit.shard import edit_shard
from flows.running import may_pass, refusals_as_states
from flows.settings import EditSettings
from flows.storage import Store, join, open_store

JUDGED_FROM = 1000
"""Images after which the share of failures can stop a run: one broken file among the first seven proves nothing."""


@dataclass(frozen=True)
class Preparation:
    """A run that may begin: its plan is written, or was found."""

    run: Run
    store: Store
    bundle: Bundle


def check(settings: EditSettings) -> Bundle:
    """Find a user's mistakes before anything is written.

    Raises:
        UserError: a place that is not there or not allowed, no bundle, an unknown attribute, overlapping prefixes.
    """
    plan.refuse_overlap(settings.source, settings.destination)
    open_store(settings.source, option="--source").check()
    open_store(settings.destination, option="--destination").check(write=True)
    store = open_store(settings.bundle, option="--bundle")
    store.check()
    filesystem, path = store.filesystem()
    label = f"--bundle {settings.bundle}"
    bundle = load_bundle(path, filesystem, with_discriminator=False, label=label)
    parse_edits(settings.set, settings.intensity, bundle.config.attributes)
    return bundle


def prepare(settings: EditSettings) -> Preparation:
    """Check, then find the unfinished run of these settings or plan a new one.

    Raises:
        UserError: as :func:`check`; also nothing to edit, or a named run that was made of something else.
    """
    bundle = check(settings)
    made_of = plan.what_decides_the_bytes(settings, bundle.digest)
    fingerprint = plan.fingerprint(made_of)
    run_id = plan.choose_run_id(settings, fingerprint)
    store = open_store(plan.run_url(settings.destination, run_id), option="--destination")
    run = plan.read_run(store)
    if run is None:
        run = _plan_new_run(settings, bundle, made_of, fingerprint, run_id, store)
    elif run.fingerprint != fingerprint:
        differs = [name for name in made_of if made_of[name] != run.made_of.get(name)]
        raise UserError(
            f"--run-id {run_id}: was begun with another {', '.join(differs)}; give a new run another id"
        )
    return Preparation(run, store, bundle)


def _plan_new_run(
    settings: EditSettings,
    bundle: Bundle,
    made_of: dict[str, Any],
    fingerprint: str,
    run_id: str,
    store: Store,
) -> Run:
    attributes = list(bundle.config.attributes)
    labels = plan.read_source_labels(settings.labels, attributes)
    ignored: dict[str, int] = {}
    size = plan.write_plan(store, list_inputs(settings, ignored), labels, settings.shard_size)
    if not size.inputs:
        raise UserError(f"--source {settings.source}: has no images ({_ignored_text(ignored)})")
    run = Run(
        run_id=run_id,
        settings=settings,
        bundle_digest=bundle.digest,
        attributes=attributes,
        fingerprint=fingerprint,
        made_of=made_of,
        ignored=ignored,
        **size._asdict(),
    )
    store.put(
        "run.json", run.model_dump_json(indent=2).encode(), create_only=True, content_type="application/json"
    )
    return run


def list_inputs(settings: EditSettings, ignored: dict[str, int]) -> Any:
    """The inputs of a run in key order, lazily; what is passed over is counted into ``ignored``."""
    inputs = plan.image_keys(open_store(settings.source, option="--source"), ignored)
    for number, info in enumerate(inputs):
        if settings.limit is not None and number >= settings.limit:
            return
        yield info


def _ignored_text(ignored: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in ignored.items()) or "the prefix is empty"


def describe(settings: EditSettings) -> list[dict[str, Any]]:
    """What a run with these settings would do: the rows of the dry run's table. Writes nothing.

    Raises:
        UserError: as :func:`check`; also nothing to edit.
    """
    bundle = check(settings)
    ignored: dict[str, int] = {}
    inputs = size = 0
    for info in list_inputs(settings, ignored):
        inputs += 1
        size += info.size
    if not inputs:
        raise UserError(f"--source {settings.source}: has no images ({_ignored_text(ignored)})")
    edits = parse_edits(settings.set, settings.intensity, bundle.config.attributes)
    rows = {
        "images": f"{inputs:,} ({size / 1e6:,.1f} MB)",
        "not planned": _ignored_text(ignored) if ignored else "none",
        "shards": f"{-(-inputs // settings.shard_size):,} of up to {settings.shard_size:,} images",
        "edits": ", ".join(map(str, edits)),
        "bundle": f"{settings.bundle} ({bundle.digest[:16]}), {bundle.config.image_size} px",
        "licence": bundle.config.licence,
        "destination": settings.destination,
    }
    return [{"what": what, "value": value} for what, value in rows.items()]


@task(
    name="edit-shard",
    task_run_name="shard-{shard:05d}",
    retries=2,
    retry_delay_seconds=[2, 20],
    retry_condition_fn=may_pass,
)
def edit_shard_task(run_url: str, shard: int) -> Summary:
    """One shard, on Ray."""
    return edit_shard(run_url, shard)


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
    prepared = prepare(settings)
    run = prepared.run
    log.info("run %s: %s images in %s shards, into %s", run.run_id, f"{run.inputs:,}", run.shards, run.url)
    log.info("bundle %s; %s", run.bundle_digest[:16], prepared.bundle.config.licence)
    summaries = [read_summary(prepared.store, key) for key in finished_shards(prepared.store).values()]
    resumed = len(summaries)
    if lost := _run_shards(run, resources, summaries, log):
        message = f"{len(lost)} of {run.shards} shards did not finish ({lost[0]}); the same command goes on"
        return Failed(message=message)
    if len(summaries) < run.shards:
        return Failed(message=_too_many_failures(run, summaries) + "; stopped, the same command goes on")
    result = _finish(prepared, summaries, time.monotonic() - started, resumed)
    if report.failed_share(summaries) > settings.max_failed_share:
        return Failed(message=_too_many_failures(run, summaries) + f"; all results are listed in {run.url}")
    return result


def _run_shards(
    run: Run, resources: cluster.Resources, summaries: list[Summary], log: reporting.Log
) -> list[str]:
    """Run what has no ledger yet, adding to ``summaries``; returns a line for each shard that did not finish."""
    settings = run.settings
    progress = reporting.Progress("edit-progress", "images", run.inputs, log)
    progress.advance(sum(summary.images for summary in summaries))
    finished = {summary.shard for summary in summaries}
    calls = ({"run_url": run.url, "shard": shard} for shard in range(run.shards) if shard not in finished)
    parallel = cluster.workers(resources, settings.cpus_per_shard, settings.gpus_per_shard)
    lost: list[str] = []
    for call, state in cluster.run_tasks(
        edit_shard_task, calls, cpus=settings.cpus_per_shard, gpus=settings.gpus_per_shard, parallel=parallel
    ):
        if not state.is_completed():
            lost.append(f"shard {call['shard']}: {state.message}")
            continue
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


def _finish(prepared: Preparation, summaries: list[Summary], wall: float, resumed: int) -> dict[str, Any]:
    """Write and show the report; the run is over when ``report.json`` is there."""
    run, store = prepared.run, prepared.store
    result = report.build_report(run, summaries, wall, resumed)
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
