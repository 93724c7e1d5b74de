"""Before an edit run: a user's mistakes found, the unfinished run found or a new one planned, or only described."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attgan.attributes import parse_edits
from attgan.errors import UserError
from attgan.models import BundleInfo
from flows.edit.closing import UnfinishedRun, find_unfinished
from flows.edit.ledger import finished_shards, read_summary
from flows.edit.plan import (
    PassedOver,
    SourceLabels,
    Styles,
    list_inputs,
    read_source_labels,
    read_styles,
    refuse_overlap,
    write_plan,
)
from flows.edit.run import (
    Run,
    choose_run_id,
    hash_of,
    is_there,
    lineage_of,
    read_run,
    run_url,
    what_decides_the_bytes,
)
from flows.edit.state import STATE, State
from flows.settings import EditSettings
from flows.storage import Store, bundles, join, open_store


@dataclass(frozen=True)
class Preparation:
    """A run that may go on: its plan is written, or was found.

    Attributes:
        run: under the settings of this command.
        store: the run's folder.
        state: what the runs of its lineage are done with.
        licence: the bundle's, one line.
        attributes_from: where the faces' attributes before the edit come from.
        finished: the ledger that counts of each shard that has one.
        todo: the shards to do, and of which generation their ledgers will be.
        is_recorded: whether the state has what a retry's ledgers say; True of what is no retry.
    """

    run: Run
    store: Store
    state: State
    licence: str
    attributes_from: str
    finished: dict[int, str]
    todo: dict[int, int]
    is_recorded: bool

    @property
    def is_reported(self) -> bool:
        """Whether the run has ended with a report, and nothing of it is to be done again."""
        return not self.todo and self.is_recorded and is_there(self.store, "report.json")


@dataclass(frozen=True)
class NothingToDo:
    """Why there is no run: all images are done with, or none of them has failed."""

    passed_over: PassedOver


@dataclass(frozen=True)
class _Request:
    """Settings, and what follows from them and from their bundle."""

    settings: EditSettings
    bundle: BundleInfo
    labels: SourceLabels
    styles: Styles
    made_of: dict[str, Any]
    fingerprint: str
    lineage: str


def check(settings: EditSettings) -> BundleInfo:
    """Find a user's mistakes before anything is written. A bundle's weights are the workers' to read and to check.

    Raises:
        UserError: a place that is not there or not allowed, no bundle, an unknown attribute, overlapping prefixes.
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
    tell: Callable[[str], None] = lambda line: None,
) -> Preparation | NothingToDo:
    """Find the unfinished run of these settings, or plan a new one of what is new or changed since.

    An unfinished run of another version is closed as it stands (:mod:`flows.edit.closing`).

    With ``retry_failed`` find the last run that has failed images, or the one that is named.

    Args:
        settings: of the command.
        bundle: what :func:`check` has returned; None if it is still to be called.
        planned: called whenever a new run's plan has one more shard.
        tell: called with a line about each run that is closed.

    Raises:
        UserError: as :func:`check`; also no images at all, or a named run that was made of something else.
    """
    request = _request(settings, bundle or check(settings))
    return _prepare_retry(request) if settings.retry_failed else _prepare_run(request, planned, tell)


def _request(settings: EditSettings, bundle: BundleInfo) -> _Request:
    attributes = list(bundle.config.attributes)
    labels = read_source_labels(settings.labels, attributes)
    edits = parse_edits(settings.set, settings.intensity, attributes)
    styles = read_styles(settings, bundle.config.generator.styles)
    made_of = what_decides_the_bytes(settings, edits, bundle.digest, labels.digest, styles.digest)
    lineage = lineage_of(settings, made_of)
    return _Request(settings, bundle, labels, styles, made_of, hash_of(made_of), lineage)


def _prepare_run(
    request: _Request, planned: Callable[[], None], tell: Callable[[str], None]
) -> Preparation | NothingToDo:
    unfinished = _unfinished(request)
    for other in unfinished:
        other.settle(_state(request))
    prepared = _resume_or_plan(request, planned, [other.run.fingerprint for other in unfinished])
    for other in unfinished:
        other.close()
        tell(str(other))
    return prepared


def _unfinished(request: _Request) -> list[UnfinishedRun]:
    return find_unfinished(request.settings.destination, request.lineage, request.made_of)


def _resume_or_plan(
    request: _Request, planned: Callable[[], None], replaced: list[str]
) -> Preparation | NothingToDo:
    settings = request.settings
    run_id = choose_run_id(settings, request.lineage, request.fingerprint)
    store = open_store(run_url(settings.destination, run_id), option="--destination")
    run = read_run(store)
    if run is None:
        plan = secrets.token_hex(4)
        passed_over = PassedOver()
        inputs = list_inputs(settings, _state(request).settled(), passed_over)
        size = write_plan(
            store,
            plan,
            inputs,
            request.labels.by_name,
            settings.shard_size,
            planned,
            request.styles.by_key,
        )
        if not size.inputs:
            return _nothing_new(settings, passed_over)
        run = Run(
            run_id=run_id,
            lineage=request.lineage,
            settings=settings,
            attributes=list(request.bundle.config.attributes),
            fingerprint=request.fingerprint,
            made_of=request.made_of,
            plan=plan,
            replaces=replaced,
            ignored=passed_over.ignored,
            unchanged=passed_over.unchanged,
            **size._asdict(),
        )
        _begin(store, run)
    else:
        _refuse_another(run, request)
    finished = finished_shards(store)
    return _preparation(
        request, run, store, finished, dict.fromkeys(set(range(run.shards)) - set(finished), 0)
    )


def _prepare_retry(request: _Request) -> Preparation | NothingToDo:
    """The run to be tried again, with those of its shards that have failed images."""
    settings = request.settings
    failures = _state(request).failures()
    run_id = settings.run_id or next((name for name in reversed(failures) if failures[name]), None)
    if run_id is None:
        return NothingToDo(PassedOver())
    store = open_store(run_url(settings.destination, run_id), option="--destination")
    run = read_run(store)
    if run is None:
        raise UserError(
            "run-missing",
            f"--run-id {run_id}: there is no such run below --destination {settings.destination}",
        )
    _refuse_another(run, request)
    finished = finished_shards(store)
    if run_id not in failures:
        raise UserError(
            "run-unfinished", f"--retry-failed: run {run_id} is not finished; without this option it goes on"
        )
    summaries = [read_summary(store, key) for key in finished.values()]
    todo = {summary.shard: summary.generation + 1 for summary in summaries if summary.counts["failed"]}
    return _preparation(request, run, store, finished, todo, is_recorded=not failures[run_id])


def _preparation(
    request: _Request,
    run: Run,
    store: Store,
    finished: dict[int, str],
    todo: dict[int, int],
    *,
    is_recorded: bool = True,
) -> Preparation:
    settings, bundle = request.settings, request.bundle
    return Preparation(
        run=run.under(settings),
        store=store,
        state=_state(request),
        licence=bundle.config.licence,
        attributes_from=_attributes_from(settings, bundle),
        finished=finished,
        todo=dict(sorted(todo.items())),
        is_recorded=is_recorded,
    )


def _state(request: _Request) -> State:
    place = join(request.settings.destination, STATE, request.lineage)
    return State(open_store(place, option="--destination"))


def _nothing_new(settings: EditSettings, passed_over: PassedOver) -> NothingToDo:
    """No image is new.

    Raises:
        UserError: there is none at all.
    """
    if not passed_over.unchanged:
        raise UserError(
            "source-empty", f"--source {settings.source}: has no images ({ignored_text(passed_over.ignored)})"
        )
    return NothingToDo(passed_over)


def _attributes_from(settings: EditSettings, bundle: BundleInfo) -> str:
    without = "the bundle's classifier" if bundle.config.classifier else "unknown"
    if settings.labels:
        return f"{settings.labels}, of images not listed there: {without}"
    return (
        without if bundle.config.classifier else f"{without}; neither --labels nor a classifier in the bundle"
    )


def _begin(store: Store, run: Run) -> None:
    """Write ``run.json``; from here on the plan stands."""
    data = run.model_dump_json(indent=2).encode()
    try:
        store.put("run.json", data, create_only=True, content_type="application/json")
    except FileExistsError:
        # The plan's name in it is drawn at random: the same is ours, of an attempt whose answer was lost on its way.
        if store.get("run.json").data != data:
            raise UserError(
                "run-begun-elsewhere", f"--destination {store.url}: another command has just begun this run"
            ) from None


def _refuse_another(run: Run, request: _Request) -> None:
    """A run that is taken up must be the one that was begun."""
    settings, made_of = request.settings, request.made_of
    differs = [name for name in made_of if made_of[name] != run.made_of.get(name)]
    same = ("source",) if settings.retry_failed else ("source", "limit", "redo")
    differs += [name for name in same if getattr(run.settings, name) != getattr(settings, name)]
    if differs:
        names = ", ".join(differs)
        raise UserError(
            "run-settings-differ",
            f"--run-id {run.run_id}: was begun with another {names}; give a new run another id",
        )


def ignored_text(ignored: dict[str, int]) -> str:
    """What was not planned, by reason, on one line."""
    return ", ".join(f"{count:,} {reason}" for reason, count in ignored.items()) or "the prefix is empty"


def describe(settings: EditSettings) -> list[dict[str, Any]]:
    """What a run with these settings would do: the rows of the dry run's table. Writes nothing.

    Raises:
        UserError: as :func:`check`; also no images at all, or nothing that --retry-failed could mean.
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
    settings, passed_over = request.settings, PassedOver()
    inputs = size = 0
    unfinished = _unfinished(request)
    done = [other.settled() for other in unfinished]
    # Of equal keys the first one counts: the unfinished run's, which is newer than the state.
    settled = heapq.merge(*done, _state(request).settled(), key=lambda row: row.key)
    for planned in list_inputs(settings, settled, passed_over):
        inputs += 1
        size += planned.info.size
    if not inputs:
        _nothing_new(settings, passed_over)
    closed = {f"run {other.run.run_id}": str(other) for other in unfinished}
    return closed | {
        "images": f"{inputs:,} ({size / 1e6:,.1f} MB)",
        "done before, unchanged": f"{passed_over.unchanged:,}",
        "not planned": ignored_text(passed_over.ignored) if passed_over.ignored else "none",
        "shards": f"{-(-inputs // settings.shard_size):,} of up to {settings.shard_size:,} images",
    }


def _retry_rows(request: _Request) -> dict[str, str]:
    prepared = _prepare_retry(request)
    if isinstance(prepared, NothingToDo):
        return {"images": "none has failed"}
    keys = [prepared.finished[shard] for shard in prepared.todo]
    failed = sum(read_summary(prepared.store, key).counts["failed"] for key in keys)
    return {"run": prepared.run.run_id, "images": f"{failed:,} failed ones", "shards": f"{len(keys):,}"}
