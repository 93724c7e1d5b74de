"""The start of an edit run: find the unfinished run, or plan a new one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from attgan.errors import UserError
from flows.edit.fingerprint import SELECTION, hash_of
from flows.edit.job import EditRequest
from flows.edit.ledger import Summary, finished_shards, read_summaries
from flows.edit.plan.closing import find_unfinished
from flows.edit.plan.done import open_done
from flows.edit.plan.listing import NotPlanned, ignored_text, list_inputs, write_ignored
from flows.edit.plan.runs import ListedRun, list_runs
from flows.edit.plan.shard_plans import shard_sizes, sizes_of, write_plan
from flows.edit.run import RUN_FILE, EditRun, read_run
from flows.storage import Store


class ShardToDo(NamedTuple):
    """A shard that is left: the generation that its ledger will have, and how many of its images are to be edited."""

    generation: int
    images: int


@dataclass(frozen=True)
class PreparedRun:
    """A run whose plan exists, and the shards of it that are left.

    Attributes:
        request: of this command.
        run: with the settings of this command.
        store: the run's folder.
        before: the summaries of the shards that are done. They are not read if the run is reported.
        todo: the shards that are left, by number.
        is_reported: whether no shard is left, and the report counts the failures that are left.
    """

    request: EditRequest
    run: EditRun
    store: Store
    before: list[Summary]
    todo: dict[int, ShardToDo]
    is_reported: bool


@dataclass(frozen=True)
class NothingToDo:
    """There is no run: all images are done and unchanged, or with ``--retry-failed`` none has failed."""

    not_planned: NotPlanned


def prepare(
    request: EditRequest,
    planned: Callable[[], None] = lambda: None,
    on_closed: Callable[[str], None] = lambda line: None,
) -> PreparedRun | NothingToDo:
    """Find the unfinished run of a request, or plan a new one for the images that are new or have changed.

    An unfinished run of another version is closed as it stands (:mod:`flows.edit.plan.closing`). With ``retry_failed``,
    find the last run that has failed images, or the run that the settings name.

    Args:
        request: the command's.
        planned: called after each shard that is planned.
        on_closed: receives one line about each run that is closed.

    Raises:
        UserError: there are no images, or the named run began with other settings.
        StorageError: the storage failed after its retries.
    """
    runs = list_runs(request.destination.url, request.lineage)
    if request.settings.retry_failed:
        return _prepare_retry(request, runs)
    unfinished = find_unfinished(runs, request.made_of)
    run_id = request.settings.run_id or _next_id(request, runs)
    begun = read_run(request.open_run(run_id))
    if begun is not None:
        _refuse_to_continue(begun, request, runs)
    run = begun or _plan(request, run_id, runs, planned)
    for other in unfinished:
        other.close()
        on_closed(str(other))
    return run if isinstance(run, NothingToDo) else _remaining(request, run, runs)


def _next_id(request: EditRequest, runs: Sequence[ListedRun]) -> str:
    """The id of this request's last run if that is unfinished, otherwise of its next one."""
    settings = request.settings
    name = hash_of([request.lineage, request.fingerprint, settings.max_images, settings.redo])
    # Not their count: folders of old runs may have been deleted.
    numbers = {
        int(found[1]): listed.is_finished
        for listed in runs
        if (found := re.fullmatch(rf"{name}-([0-9]+)", listed.run.run_id))
    }
    last = max(numbers, default=0)
    return f"{name}-{last + numbers.get(last, True):04d}"


def _plan(
    request: EditRequest, run_id: str, runs: Sequence[ListedRun], planned: Callable[[], None]
) -> EditRun | NothingToDo:
    """Plan the images that are not done, and begin their run if there are any."""
    store, plan = request.open_run(run_id), secrets.token_hex(4)
    not_planned = NotPlanned(write=partial(write_ignored, store, plan))
    with open_done(request.open_state(), runs) as done:
        size = write_plan(request, store, plan, list_inputs(request, done, not_planned), planned)
    if not size.inputs:
        return nothing_new(request, not_planned)
    not_planned.flush()
    run = EditRun(
        run_id=run_id,
        lineage=request.lineage,
        settings=request.settings,
        attributes=request.attributes,
        fingerprint=request.fingerprint,
        made_of=request.made_of,
        plan=plan,
        replaces=sorted({listed.run.fingerprint for listed in runs} - {request.fingerprint}),
        ignored=not_planned.ignored,
        unchanged=not_planned.unchanged,
        **size._asdict(),
    )
    _begin(store, run)
    return run


def _begin(store: Store, run: EditRun) -> None:
    """Write ``run.json``, which makes the plan final."""
    data = run.model_dump_json(indent=2).encode()
    try:
        store.put(RUN_FILE, data, create_only=True, content_type="application/json")
    except FileExistsError:
        # The content includes the plan's random name. If it is equal, an earlier attempt of this command wrote it and
        # only the answer was lost.
        if store.get(RUN_FILE).data != data:
            raise UserError(
                "run-begun-elsewhere", f"--destination {store.url}: another command has just begun this run"
            ) from None


def _remaining(request: EditRequest, run: EditRun, runs: Sequence[ListedRun]) -> PreparedRun:
    """What is left of a run that has begun: the shards without a ledger."""
    store = request.open_run(run.run_id)
    finished = finished_shards(store)
    sizes = dict(enumerate(sizes_of(run.inputs, shard_sizes(run.settings))))
    todo = {
        # If the plan is of a version with other sizes, they only make the run slower or faster than its cap.
        shard: ShardToDo(0, sizes.get(shard, 0))
        for shard in range(run.shards)
        if shard not in finished
    }
    is_reported = not todo and any(listed.is_finished for listed in runs if listed.run.run_id == run.run_id)
    before = [] if is_reported else read_summaries(store, finished.values())
    return PreparedRun(request, run.under(request.settings), store, before, todo, is_reported)


def _prepare_retry(request: EditRequest, runs: Sequence[ListedRun]) -> PreparedRun | NothingToDo:
    """Find the run to retry, and those of its shards that have failed images."""
    finished = {listed.run.run_id: listed for listed in runs if listed.is_finished}
    run_id = request.settings.run_id or next(
        (name for name, listed in reversed(finished.items()) if listed.failed()), None
    )
    if run_id is None:
        return NothingToDo(NotPlanned())
    store = request.open_run(run_id)
    run = read_run(store)
    if run is None:
        raise UserError(
            "run-missing",
            f"--run-id {run_id}: there is no such run below --destination {request.settings.destination}",
        )
    _refuse_to_continue(run, request, runs)
    if run_id not in finished:
        raise UserError(
            "run-unfinished", f"--retry-failed: run {run_id} has not finished; without this option it resumes"
        )
    summaries = read_summaries(store, finished_shards(store).values())
    todo = {
        summary.shard: ShardToDo(summary.generation + 1, summary.counts["failed"])
        for summary in summaries
        if summary.counts["failed"]
    }
    before = [summary for summary in summaries if summary.shard not in todo]
    is_reported = not todo and not finished[run_id].failed()
    return PreparedRun(request, run.under(request.settings), store, before, todo, is_reported)


def _refuse_to_continue(run: EditRun, request: EditRequest, runs: Sequence[ListedRun]) -> None:
    """Refuse to continue a run with settings that would change its output, or one that was undone.

    Raises:
        UserError: the settings differ from those that the run began with, or it was undone.
    """
    settings, made_of = request.settings, request.made_of
    differs = [name for name in made_of if made_of[name] != run.made_of.get(name)]
    same = ("source",) if settings.retry_failed else SELECTION
    differs += [name for name in same if getattr(run.settings, name) != getattr(settings, name)]
    if differs:
        names = ", ".join(differs)
        line = f"--run-id {run.run_id}: began with another {names}; give a new run another id"
        if settings.retry_failed:
            line = (
                f"--retry-failed: run {run.run_id} began with another {names}, so it cannot be repeated; "
                "--redo edits all images again"
            )
        raise UserError("run-settings-differ", line)
    if any(listed.is_undone() for listed in runs if listed.run.run_id == run.run_id):
        raise UserError("run-undone", f"--run-id {run.run_id}: was undone; give a new run another id")


def nothing_new(request: EditRequest, not_planned: NotPlanned) -> NothingToDo:
    """The answer where no image is new.

    Raises:
        UserError: the source has no images at all.
    """
    if not not_planned.unchanged:
        raise UserError(
            "source-empty",
            f"--source {request.source.url}: has no images ({ignored_text(not_planned.ignored)})",
        )
    return NothingToDo(not_planned)
