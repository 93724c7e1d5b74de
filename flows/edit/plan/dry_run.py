"""The dry run: what a run would do, without writing anything."""

from __future__ import annotations

from typing import Any, NamedTuple

from flows.edit.job import EditRequest
from flows.edit.plan.closing import find_unfinished
from flows.edit.plan.done import open_done
from flows.edit.plan.listing import NotPlanned, ignored_text, list_inputs
from flows.edit.plan.prepared_run import NothingToDo, nothing_new, prepare
from flows.edit.plan.runs import list_runs
from flows.edit.plan.shard_plans import shard_sizes, sizes_of
from flows.edit.removal.deleted_sources import mirror_deletions
from flows.edit.removal.outputs import REMOVED


class DryRun(NamedTuple):
    """What a run would do: how many images it would edit, and the rows of a table."""

    images: int
    rows: list[dict[str, Any]]


def describe(request: EditRequest) -> list[dict[str, Any]]:
    """The rows of :func:`dry_run`."""
    return dry_run(request).rows


def dry_run(request: EditRequest) -> DryRun:
    """What a run of this request would do. Writes nothing.

    Raises:
        UserError: there are no images, or there is no run for ``--retry-failed``.
        StorageError: the storage failed after its retries.
    """
    settings, bundle = request.settings, request.bundle
    images, rows = _retry_rows(request) if settings.retry_failed else _plan_rows(request)
    rows |= {
        "edits": ", ".join(map(str, request.edits)),
        "bundle": f"{settings.bundle} ({bundle.digest[:16]}), {bundle.config.image_size} px",
        "source attributes": request.attributes_from,
        "licence": bundle.config.licence,
        "destination": settings.destination,
    }
    if settings.mirror_deletions:
        rows["outputs to remove"] = (
            f"{mirror_deletions(request, dry_run=True).counts[REMOVED]:,}, without a source"
        )
    return DryRun(images, [{"what": what, "value": value} for what, value in rows.items()])


def _plan_rows(request: EditRequest) -> tuple[int, dict[str, str]]:
    not_planned = NotPlanned()
    inputs = size = 0
    runs = list_runs(request.destination.url, request.lineage)
    unfinished = find_unfinished(runs, request.made_of)
    with open_done(request.open_state(), runs, may_write=False) as done:
        for planned in list_inputs(request, done, not_planned):
            inputs += 1
            size += planned.info.size
    if not inputs:
        nothing_new(request, not_planned)
    closed = {f"run {other.run.run_id}": str(other) for other in unfinished}
    sizes = sizes_of(inputs, shard_sizes(request.settings))
    return inputs, closed | {
        "images": f"{inputs:,} ({size / 1e6:,.1f} MB)",
        "done before, unchanged": f"{not_planned.unchanged:,}",
        "not planned": ignored_text(not_planned.ignored) if not_planned.ignored else "none",
        "shards": f"{len(sizes):,} of up to {max(sizes, default=0):,} images",
    }


def _retry_rows(request: EditRequest) -> tuple[int, dict[str, str]]:
    prepared = prepare(request)
    if isinstance(prepared, NothingToDo):
        return 0, {"images": "none has failed"}
    todo = prepared.todo
    failed = sum(shard.images for shard in todo.values())
    rows = {"run": prepared.run.run_id, "images": f"{failed:,} failed ones", "shards": f"{len(todo):,}"}
    return failed, rows
