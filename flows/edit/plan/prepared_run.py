"""The start of an edit run: find the unfinished run, or plan a new one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from attgan.errors import UserError
from flows.edit.fingerprint import SELECTION, hash_of
from flows.edit.job import EditRequest
from flows.edit.ledger import finished_shards, read_summary
from flows.edit.plan.closing import find_unfinished
from flows.edit.plan.done import open_done
from flows.edit.plan.listing import NotPlanned, ignored_text, list_inputs, write_ignored
from flows.edit.plan.runs import ListedRun, list_runs
from flows.edit.plan.shard_plans import shard_sizes, write_plan
from flows.edit.run import RUN_FILE, EditRun, read_run
from flows.storage import Store


@dataclass(frozen=True)
class PreparedRun:
    """A run whose plan exists, and the shards of it that are left.

    Attributes:
        request: of this command.
        run: with the settings of this command.
        store: the run's folder.
        finished: the key of the valid ledger, for each shard that has one.
        todo: the shards that are left, and the generation that their ledgers will have.
        is_reported: whether no shard is left, and the report counts the failures that are left.
    """

    request: EditRequest
    run: EditRun
    store: Store
    finished: dict[int, str]
    todo: dict[int, int]
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
    if request.settings.retry_failed:
        return _prepare_retry(request)
    return _prepare_run(request, planned, on_closed)


def _prepare_run(
    request: EditRequest, planned: Callable[[], None], on_closed: Callable[[str], None]
) -> PreparedRun | NothingToDo:
    runs = list_runs(request.destination.url, request.lineage)
    unfinished = find_unfinished(runs, request.made_of)
    prepared = _resume_or_plan(request, planned, runs, [other.run.fingerprint for other in unfinished])
    for other in unfinished:
        other.close()
        on_closed(str(other))
    return prepared


def _resume_or_plan(
    request: EditRequest, planned: Callable[[], None], runs: Sequence[ListedRun], replaced: list[str]
) -> PreparedRun | NothingToDo:
    settings = request.settings
    name = hash_of([request.lineage, request.fingerprint, settings.max_images, settings.redo])
    finished_before = sum(run.is_finished and run.run.run_id.startswith(f"{name}-") for run in runs)
    run_id = settings.run_id or f"{name}-{finished_before + 1:04d}"
    store = request.open_run(run_id)
    run = read_run(store)
    if run is None:
        plan = secrets.token_hex(4)
        not_planned = NotPlanned(write=partial(write_ignored, store, plan))
        with open_done(request.open_state(), runs) as done:
            size = write_plan(
                store,
                plan,
                list_inputs(request, done, not_planned),
                request.labels.by_name,
                shard_sizes(settings),
                planned,
                request.styles.by_key,
            )
        if not size.inputs:
            return nothing_new(request, not_planned)
        not_planned.flush()
        run = EditRun(
            run_id=run_id,
            lineage=request.lineage,
            settings=settings,
            attributes=request.attributes,
            fingerprint=request.fingerprint,
            made_of=request.made_of,
            plan=plan,
            replaces=replaced,
            ignored=not_planned.ignored,
            unchanged=not_planned.unchanged,
            **size._asdict(),
        )
        _begin(store, run)
    else:
        _refuse_other_settings(run, request)
        _refuse_undone(runs, run_id)
    finished = finished_shards(store)
    todo = dict.fromkeys(set(range(run.shards)) - set(finished), 0)
    is_reported = any(listed.is_finished for listed in runs if listed.run.run_id == run_id)
    return _preparation(request, run, store, finished, todo, is_reported=is_reported)


def _prepare_retry(request: EditRequest) -> PreparedRun | NothingToDo:
    """Find the run to retry, and those of its shards that have failed images."""
    settings = request.settings
    runs = list_runs(request.destination.url, request.lineage)
    finished_runs = {listed.run.run_id: listed for listed in runs if listed.is_finished}
    run_id = settings.run_id or next(
        (name for name, listed in reversed(finished_runs.items()) if listed.failed()), None
    )
    if run_id is None:
        return NothingToDo(NotPlanned())
    store = request.open_run(run_id)
    run = read_run(store)
    if run is None:
        raise UserError(
            "run-missing",
            f"--run-id {run_id}: there is no such run below --destination {settings.destination}",
        )
    _refuse_other_settings(run, request)
    _refuse_undone(runs, run_id)
    finished = finished_shards(store)
    if run_id not in finished_runs:
        raise UserError(
            "run-unfinished", f"--retry-failed: run {run_id} has not finished; without this option it resumes"
        )
    summaries = [read_summary(store, key) for key in finished.values()]
    todo = {summary.shard: summary.generation + 1 for summary in summaries if summary.counts["failed"]}
    return _preparation(request, run, store, finished, todo, is_reported=not finished_runs[run_id].failed())


def _preparation(
    request: EditRequest,
    run: EditRun,
    store: Store,
    finished: dict[int, str],
    todo: dict[int, int],
    *,
    is_reported: bool,
) -> PreparedRun:
    return PreparedRun(
        request=request,
        run=run.under(request.settings),
        store=store,
        finished=finished,
        todo=dict(sorted(todo.items())),
        is_reported=is_reported and not todo,
    )


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


def _refuse_other_settings(run: EditRun, request: EditRequest) -> None:
    """Refuse to resume a run with settings that would change its output.

    Raises:
        UserError: the settings differ from those that the run began with.
    """
    settings, made_of = request.settings, request.made_of
    differs = [name for name in made_of if made_of[name] != run.made_of.get(name)]
    same = ("source",) if settings.retry_failed else SELECTION
    differs += [name for name in same if getattr(run.settings, name) != getattr(settings, name)]
    if differs:
        names = ", ".join(differs)
        raise UserError(
            "run-settings-differ",
            f"--run-id {run.run_id}: began with another {names}; give a new run another id",
        )


def _refuse_undone(runs: Sequence[ListedRun], run_id: str) -> None:
    if any(listed.is_undone() for listed in runs if listed.run.run_id == run_id):
        raise UserError("run-undone", f"--run-id {run_id}: was undone; give a new run another id")
