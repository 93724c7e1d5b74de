"""The subset flow: draws the rows, submits one Prefect task per part to Ray, and writes the manifest last.

Nothing is ever overwritten. A finished dataset of the same plan is recognised, parts of a run that was killed are used
again, and files of another plan are refused.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.states import Failed

from attgan.data.manifest import Manifest
from attgan.errors import UserError
from flows.dataset.datasets import find_finished, publish, too_many_unreadable
from flows.dataset.subset import preview, report
from flows.dataset.subset.part import PartResult, PartTask, make_part
from flows.dataset.subset.plan import Plan, make_plan, refuse_overlap
from flows.runtime import reporting
from flows.runtime.cluster import capacity, nodes, tasks
from flows.runtime.running import cause_of, is_retryable, refusals_as_states, retries_if
from flows.settings import SubsetSettings
from flows.storage import Store, open_store
from flows.words import counted


@task(
    name="subset-part",
    task_run_name="part-{part.index:05d}",
    **retries_if(is_retryable),
)
def make_part_task(part: PartTask) -> PartResult:
    """Make one part, on Ray."""
    return make_part(part)


@flow(
    name="subset",
    flow_run_name="subset {settings.subset} of {settings.source}",
    task_runner=tasks.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def subset(settings: SubsetSettings) -> dict[str, Any] | State[Any]:
    """Make a dataset of Parquet parts from CelebA, or from images in its layout."""
    log = get_run_logger()
    if settings.dry_run:
        text = preview.describe(settings)
        log.info("\n%s", text)
        reporting.markdown("subset-dry-run", f"```\n{text}\n```", "What a subset run would make")
        return {}
    started = time.monotonic()
    store = open_store(refuse_overlap(settings), option="--destination")
    store.check(write=True)
    capacity.require(settings.cpus_per_part, 0, settings.node_timeout, log)
    nodes.require_reachable({"--source": settings.source}, store.url)
    plan = make_plan(settings)
    log.info(
        "%s of %s with images, in %s",
        counted(plan.counts.chosen, "row"),
        f"{plan.counts.at_hand:,}",
        counted(plan.parts, "part"),
    )
    manifest = find_finished(store, plan.digest)
    if manifest is not None:
        log.info("%s already holds this dataset", store.url)
        return report.result(store.url, manifest, [], time.monotonic() - started)
    parts, failure = _make_parts(plan, store, log)
    if failure:
        return Failed(message=failure)
    manifest = report.manifest_of(plan, parts)
    publish(store, manifest)
    _show(store, manifest, parts)
    return report.result(store.url, manifest, parts, time.monotonic() - started)


def _make_parts(plan: Plan, store: Store, log: reporting.Log) -> tuple[list[PartResult], str | None]:
    """Make every part. Returns them in order, and a line with the reason if the run cannot continue.

    Raises:
        UserError: a part of another dataset is at the destination.
    """
    settings = plan.settings
    progress = reporting.Progress("subset-progress", "images", plan.counts.chosen, log)
    results: list[PartResult] = []
    lost: list[str] = []
    running = tasks.run_tasks(
        make_part_task,
        ({"part": part} for part in plan.tasks(store.url)),
        cpus=settings.cpus_per_part,
        gpus=0,
        node_timeout=settings.node_timeout,
    )
    with contextlib.closing(running) as ended:
        for call, state in ended:
            if not state.is_completed():
                cause = cause_of(state)
                if isinstance(cause, UserError):
                    raise cause
                lost.append(f"part {call['part'].index}: {state.message}")
                continue
            made = state.result()
            results.append(made)
            progress.advance(made.entry.rows + len(made.note.unreadable))
            unreadable = [image for result in results for image in result.note.unreadable]
            if line := too_many_unreadable(settings, unreadable, plan.counts.chosen):
                return results, line
    if lost:
        return (
            results,
            f"{len(lost)} of {plan.parts} parts were not made ({lost[0]}); the same command resumes",
        )
    return sorted(results, key=lambda result: result.note.index), None


def _show(store: Store, manifest: Manifest, parts: list[PartResult]) -> None:
    """Publish the run's artifacts: counts, attributes, and a sheet of faces."""
    name = manifest.subset.name
    reporting.table("subset-counts", report.count_rows(manifest), f"Rows of {name}")
    reporting.table(
        "subset-attributes", report.attribute_rows(manifest), f"Attributes of {name}, most frequent first"
    )
    if manifest.unreadable:
        rows = [image.model_dump() for image in manifest.unreadable[: report.SHOWN]]
        reporting.table("subset-unreadable", rows, f"Images left out, the first {len(rows)}")
    sheet = report.contact_sheet(store, manifest)
    if sheet is not None:
        reporting.picture("subset-faces", sheet, f"The first faces of {name}, in the dataset's order")
