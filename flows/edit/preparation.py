"""Before an edit run: a user's mistakes found, the unfinished run found or a new one planned, or only described."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from attgan.attributes import parse_edits
from attgan.errors import UserError
from attgan.models import BundleInfo
from flows.bundles import open_bundle
from flows.edit.plan import list_inputs, read_source_labels, refuse_overlap, write_plan
from flows.edit.run import Run, choose_run_id, hash_of, read_run, run_url, what_decides_the_bytes
from flows.settings import EditSettings
from flows.storage import Store, open_store


@dataclass(frozen=True)
class Preparation:
    """A run that may begin: its plan is written, or was found.

    ``attributes_from`` says where the faces' attributes before the edit come from.
    """

    run: Run
    store: Store
    licence: str
    attributes_from: str


def check(settings: EditSettings) -> BundleInfo:
    """Find a user's mistakes before anything is written.

    Raises:
        UserError: a place that is not there or not allowed, no bundle, an unknown attribute, overlapping prefixes.
    """
    source = open_store(settings.source, option="--source")
    destination = open_store(settings.destination, option="--destination")
    refuse_overlap(source.url, destination.url)
    source.check()
    destination.check(write=True)
    bundle = open_bundle(settings.bundle, with_discriminator=False)
    parse_edits(settings.set, settings.intensity, bundle.config.attributes)
    return bundle


def prepare(settings: EditSettings) -> Preparation:
    """Check, then find the unfinished run of these settings or plan a new one.

    Raises:
        UserError: as :func:`check`; also nothing to edit, or a named run that was made of something else.
    """
    bundle = check(settings)
    attributes = list(bundle.config.attributes)
    labels = read_source_labels(settings.labels, attributes)
    edits = parse_edits(settings.set, settings.intensity, attributes)
    made_of = what_decides_the_bytes(settings, edits, bundle.digest, labels.digest)
    fingerprint = hash_of(made_of)
    run_id = choose_run_id(settings, fingerprint)
    store = open_store(run_url(settings.destination, run_id), option="--destination")
    run = read_run(store)
    if run is None:
        plan = secrets.token_hex(4)
        ignored: dict[str, int] = {}
        size = write_plan(store, plan, list_inputs(settings, ignored), labels.by_name, settings.shard_size)
        if not size.inputs:
            raise UserError(f"--source {settings.source}: has no images ({_ignored_text(ignored)})")
        run = Run(
            run_id=run_id,
            settings=settings,
            attributes=attributes,
            fingerprint=fingerprint,
            made_of=made_of,
            plan=plan,
            ignored=ignored,
            **size._asdict(),
        )
        _begin(store, run)
    else:
        _refuse_another(run, settings, made_of)
    return Preparation(run.under(settings), store, bundle.config.licence, _attributes_from(settings, bundle))


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
        raise UserError(f"--destination {store.url}: another command has just begun this run") from None


def _refuse_another(run: Run, settings: EditSettings, made_of: dict[str, Any]) -> None:
    """A run that is taken up must be the one that was begun."""
    differs = [name for name in made_of if made_of[name] != run.made_of.get(name)]
    differs += [
        name for name in ("source", "limit") if getattr(run.settings, name) != getattr(settings, name)
    ]
    if differs:
        names = ", ".join(differs)
        raise UserError(f"--run-id {run.run_id}: was begun with another {names}; give a new run another id")


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
        "source attributes": _attributes_from(settings, bundle),
        "licence": bundle.config.licence,
        "destination": settings.destination,
    }
    return [{"what": what, "value": value} for what, value in rows.items()]
