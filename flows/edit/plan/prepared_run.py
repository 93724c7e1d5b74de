"""The start of an edit run: check the settings, then find the unfinished run or plan a new one.

Also the dry run, which describes what a run would do and writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from attgan.attributes import parse_edits
from attgan.errors import UserError
from attgan.models import BundleInfo
from flows.edit.ledger import finished_shards, read_summary
from flows.edit.plan.closing import find_unfinished
from flows.edit.plan.done import open_done
from flows.edit.plan.runs import ListedRun, list_runs
from flows.edit.plan.shard_plans import (
    NotPlanned,
    SourceLabels,
    Styles,
    list_inputs,
    read_source_labels,
    read_styles,
    refuse_overlap,
    shard_sizes,
    write_ignored,
    write_plan,
)
from flows.edit.run import (
    STATE,
    EditRun,
    fingerprint_inputs,
    hash_of,
    lineage_of,
    read_run,
    run_url,
)
from flows.settings import EditSettings
from flows.storage import Store, bundles, join, open_store


@dataclass(frozen=True)
class PreparedRun:
    """A run whose plan exists, and the shards of it that are left.

    Attributes:
        run: with the settings of this command.
        store: the run's folder.
        licence: the bundle's licence line.
        attributes_from: where the faces' attributes before the edit come from.
        finished: the key of the valid ledger, for each shard that has one.
        todo: the shards that are left, and the generation that their ledgers will have.
        is_reported: whether no shard is left, and the report counts the failures that are left.
    """

    run: EditRun
    store: Store
    licence: str
    attributes_from: str
    finished: dict[int, str]
    todo: dict[int, int]
    is_reported: bool


@dataclass(frozen=True)
class NothingToDo:
    """There is no run: all images are done and unchanged, or with ``--retry-failed`` none has failed."""

    not_planned: NotPlanned


@dataclass(frozen=True)
class _Request:
    """The settings, and what follows from them and from the bundle."""

    settings: EditSettings
    bundle: BundleInfo
    labels: SourceLabels
    styles: Styles
    made_of: dict[str, Any]
    fingerprint: str
    lineage: str
    state: Store


def check(settings: EditSettings) -> BundleInfo:
    """Check the settings before anything is written. The bundle's weights are read and checked by the workers.

    Raises:
        UserError: a place that is missing or not permitted, no bundle, an unknown attribute, overlapping prefixes.
    """
    source = open_store(settings.source, option="--source")
    destination = open_store(settings.destination, option="--destination")
    refuse_overlap(source.url, destination.url)
    source.check()
    destination.check(write=True)
    bundle = bundles.inspect(settings.bundle)
    parse_edits(settings.set, settings.intensity, bundle.config.attributes)
    read_styles(settings, bundle.config.generator.styles)
    return bundle


def prepare(
    settings: EditSettings,
    bundle: BundleInfo | None = None,
    planned: Callable[[], None] = lambda: None,
    on_closed: Callable[[str], None] = lambda line: None,
) -> PreparedRun | NothingToDo:
    """Find the unfinished run with these settings, or plan a new one for the images that are new or have changed.

    An unfinished run of another version is closed as it stands (:mod:`flows.edit.plan.closing`). With ``retry_failed``,
    find the last run that has failed images, or the run that the settings name.

    Args:
        settings: of the command.
        bundle: what :func:`check` returned; None if it has not been called yet.
        planned: called after each shard that is planned.
        on_closed: receives one line about each run that is closed.

    Raises:
        UserError: as :func:`check`. Also if there are no images, or if the named run began with other settings.
    """
    request = _request(settings, bundle or check(settings))
    return _prepare_retry(request) if settings.retry_failed else _prepare_run(request, planned, on_closed)


def _request(settings: EditSettings, bundle: BundleInfo) -> _Request:
    attributes = list(bundle.config.attributes)
    labels = read_source_labels(settings.labels, attributes)
    edits = parse_edits(settings.set, settings.intensity, attributes)
    styles = read_styles(settings, bundle.config.generator.styles)
    made_of = fingerprint_inputs(settings, edits, bundle.digest, labels.digest, styles.digest)
    lineage = lineage_of(settings, made_of)
    state = open_store(join(settings.destination, STATE, lineage), option="--destination")
    return _Request(settings, bundle, labels, styles, made_of, hash_of(made_of), lineage, state)


def _prepare_run(
    request: _Request, planned: Callable[[], None], on_closed: Callable[[str], None]
) -> PreparedRun | NothingToDo:
    runs = list_runs(request.settings.destination, request.lineage)
    unfinished = find_unfinished(runs, request.made_of)
    prepared = _resume_or_plan(request, planned, runs, [other.run.fingerprint for other in unfinished])
    for other in unfinished:
        other.close()
        on_closed(str(other))
    return prepared


def _resume_or_plan(
    request: _Request, planned: Callable[[], None], runs: Sequence[ListedRun], replaced: list[str]
) -> PreparedRun | NothingToDo:
    settings = request.settings
    name = hash_of([request.lineage, request.fingerprint, settings.limit, settings.redo])
    finished_before = sum(run.is_finished and run.run.run_id.startswith(f"{name}-") for run in runs)
    run_id = settings.run_id or f"{name}-{finished_before + 1:04d}"
    store = open_store(run_url(settings.destination, run_id), option="--destination")
    run = read_run(store)
    if run is None:
        plan = secrets.token_hex(4)
        not_planned = NotPlanned(write=partial(write_ignored, store, plan))
        with open_done(request.state, runs) as done:
            size = write_plan(
                store,
                plan,
                list_inputs(settings, done, not_planned),
                request.labels.by_name,
                shard_sizes(settings),
                planned,
                request.styles.by_key,
            )
        if not size.inputs:
            return _nothing_new(settings, not_planned)
        not_planned.flush()
        run = EditRun(
            run_id=run_id,
            lineage=request.lineage,
            settings=settings,
            attributes=list(request.bundle.config.attributes),
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
    finished = finished_shards(store)
    todo = dict.fromkeys(set(range(run.shards)) - set(finished), 0)
    is_reported = any(listed.is_finished for listed in runs if listed.run.run_id == run_id)
    return _preparation(request, run, store, finished, todo, is_reported=is_reported)


def _prepare_retry(request: _Request) -> PreparedRun | NothingToDo:
    """Find the run to retry, and those of its shards that have failed images."""
    settings = request.settings
    runs = list_runs(settings.destination, request.lineage)
    finished_runs = {listed.run.run_id: listed for listed in runs if listed.is_finished}
    run_id = settings.run_id or next(
        (name for name, listed in reversed(finished_runs.items()) if listed.failed()), None
    )
    if run_id is None:
        return NothingToDo(NotPlanned())
    store = open_store(run_url(settings.destination, run_id), option="--destination")
    run = read_run(store)
    if run is None:
        raise UserError(
            "run-missing",
            f"--run-id {run_id}: there is no such run below --destination {settings.destination}",
        )
    _refuse_other_settings(run, request)
    finished = finished_shards(store)
    if run_id not in finished_runs:
        raise UserError(
            "run-unfinished", f"--retry-failed: run {run_id} has not finished; without this option it resumes"
        )
    summaries = [read_summary(store, key) for key in finished.values()]
    todo = {summary.shard: summary.generation + 1 for summary in summaries if summary.counts["failed"]}
    return _preparation(request, run, store, finished, todo, is_reported=not finished_runs[run_id].failed())


def _preparation(
    request: _Request,
    run: EditRun,
    store: Store,
    finished: dict[int, str],
    todo: dict[int, int],
    *,
    is_reported: bool,
) -> PreparedRun:
    settings, bundle = request.settings, request.bundle
    return PreparedRun(
        run=run.under(settings),
        store=store,
        licence=bundle.config.licence,
        attributes_from=_attributes_from(settings, bundle),
        finished=finished,
        todo=dict(sorted(todo.items())),
        is_reported=is_reported and not todo,
    )


def _nothing_new(settings: EditSettings, not_planned: NotPlanned) -> NothingToDo:
    """The answer where no image is new.

    Raises:
        UserError: the source has no images at all.
    """
    if not not_planned.unchanged:
        raise UserError(
            "source-empty", f"--source {settings.source}: has no images ({ignored_text(not_planned.ignored)})"
        )
    return NothingToDo(not_planned)


def _attributes_from(settings: EditSettings, bundle: BundleInfo) -> str:
    without = "the bundle's classifier" if bundle.config.classifier else "unknown"
    if settings.labels:
        return f"{settings.labels}, of images not listed there: {without}"
    return (
        without if bundle.config.classifier else f"{without}; neither --labels nor a classifier in the bundle"
    )


def _begin(store: Store, run: EditRun) -> None:
    """Write ``run.json``, which makes the plan final."""
    data = run.model_dump_json(indent=2).encode()
    try:
        store.put("run.json", data, create_only=True, content_type="application/json")
    except FileExistsError:
        # The content includes the plan's random name. If it is equal, an earlier attempt of this command wrote it and
        # only the answer was lost.
        if store.get("run.json").data != data:
            raise UserError(
                "run-begun-elsewhere", f"--destination {store.url}: another command has just begun this run"
            ) from None


def _refuse_other_settings(run: EditRun, request: _Request) -> None:
    """Refuse to resume a run with settings that would change its output.

    Raises:
        UserError: the settings differ from those that the run began with.
    """
    settings, made_of = request.settings, request.made_of
    differs = [name for name in made_of if made_of[name] != run.made_of.get(name)]
    same = ("source",) if settings.retry_failed else ("source", "limit", "redo")
    differs += [name for name in same if getattr(run.settings, name) != getattr(settings, name)]
    if differs:
        names = ", ".join(differs)
        raise UserError(
            "run-settings-differ",
            f"--run-id {run.run_id}: began with another {names}; give a new run another id",
        )


def ignored_text(ignored: dict[str, int]) -> str:
    """The keys that were not planned, counted by reason, on one line."""
    return ", ".join(f"{count:,} {reason}" for reason, count in ignored.items()) or "the prefix is empty"


def describe(settings: EditSettings) -> list[dict[str, Any]]:
    """The rows of the dry run's table: what a run with these settings would do. Writes nothing.

    Raises:
        UserError: as :func:`check`. Also if there are no images, or if there is no run for ``--retry-failed``.
    """
    bundle = check(settings)
    request = _request(settings, bundle)
    edits = parse_edits(settings.set, settings.intensity, bundle.config.attributes)
    rows = _retry_rows(request) if settings.retry_failed else _plan_rows(request)
    rows |= {
        "edits": ", ".join(map(str, edits)),
        "bundle": f"{settings.bundle} ({bundle.digest[:16]}), {bundle.config.image_size} px",
        "source attributes": _attributes_from(settings, bundle),
        "licence": bundle.config.licence,
        "destination": settings.destination,
    }
    return [{"what": what, "value": value} for what, value in rows.items()]


def _plan_rows(request: _Request) -> dict[str, str]:
    settings, not_planned = request.settings, NotPlanned()
    inputs = size = 0
    runs = list_runs(settings.destination, request.lineage)
    unfinished = find_unfinished(runs, request.made_of)
    with open_done(request.state, runs, may_write=False) as done:
        for planned in list_inputs(settings, done, not_planned):
            inputs += 1
            size += planned.info.size
    if not inputs:
        _nothing_new(settings, not_planned)
    closed = {f"run {other.run.run_id}": str(other) for other in unfinished}
    return closed | {
        "images": f"{inputs:,} ({size / 1e6:,.1f} MB)",
        "done before, unchanged": f"{not_planned.unchanged:,}",
        "not planned": ignored_text(not_planned.ignored) if not_planned.ignored else "none",
        "shards": _shards(inputs, shard_sizes(settings)),
    }


def _retry_rows(request: _Request) -> dict[str, str]:
    prepared = _prepare_retry(request)
    if isinstance(prepared, NothingToDo):
        return {"images": "none has failed"}
    keys = [prepared.finished[shard] for shard in prepared.todo]
    failed = sum(read_summary(prepared.store, key).counts["failed"] for key in keys)
    return {"run": prepared.run.run_id, "images": f"{failed:,} failed ones", "shards": f"{len(keys):,}"}


def _shards(inputs: int, size_of: Callable[[int], int]) -> str:
    sizes: list[int] = []
    before = 0
    while before < inputs:
        sizes.append(min(size_of(before), inputs - before))
        before += sizes[-1]
    return f"{len(sizes):,} of up to {max(sizes):,} images"
