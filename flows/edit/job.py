"""An edit, resolved once in each process that works on it: stores, model, edits, and all that decides the bytes.

The command resolves it from its settings (:func:`resolve`), and a worker from the record of the run (:func:`job_of`).
A job has connections, so it stays in its process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from attgan.attributes import DEFAULT_STYLE, Edit, parse_edits
from attgan.data.codec import Limits
from attgan.errors import UserError
from attgan.models import BundleInfo
from flows.edit.fingerprint import edits_text, fingerprint_inputs, hash_of, lineage_of
from flows.edit.plan.tables import SourceLabels, Styles, read_source_labels, read_styles
from flows.edit.run import RUNS, STATE, EditRun
from flows.settings import EditSettings
from flows.storage import Store, bundles, is_within, join, open_store

if TYPE_CHECKING:
    from attgan.editing.photographs import EditOptions


class Model(NamedTuple):
    """Which model a process loads, and for what. It may be sent to another process."""

    url: str
    digest: str
    on_gpu: bool
    batch_size: int


@dataclass(frozen=True)
class EditJob:
    """What every stage of an edit works with.

    Attributes:
        settings: of the current command.
        source, destination: their stores.
        attributes: the bundle's, in the order of the model's vectors.
        edits: what is asked for.
        made_of: everything that decides the outputs' bytes.
        fingerprint: hash of ``made_of``.
        lineage: of its runs, see :func:`flows.edit.fingerprint.lineage_of`.
        replaces: fingerprints of the earlier runs whose outputs it may replace.
    """

    settings: EditSettings
    source: Store
    destination: Store
    attributes: list[str]
    edits: tuple[Edit, ...]
    made_of: dict[str, Any]
    fingerprint: str
    lineage: str
    replaces: Sequence[str] = ()

    @property
    def model(self) -> Model:
        """The model that its workers load."""
        return model_of(self.settings, self.made_of["bundle"])

    @property
    def options(self) -> EditOptions:
        """How its photographs are edited."""
        from attgan.editing.photographs import EditOptions

        settings = self.settings
        return EditOptions(
            self.attributes,
            self.edits,
            faces=settings.faces,
            min_face=settings.min_face,
            min_confidence=settings.min_confidence,
            paste=settings.paste,
            output=settings.output,
            edit_present=settings.on_present == "edit",
            edit_unsure=settings.on_unsure == "edit",
            style=settings.style or DEFAULT_STYLE,
        )

    @property
    def limits(self) -> Limits:
        """How large an image may be."""
        return Limits(max_bytes=self.settings.max_bytes, max_pixels=self.settings.max_pixels)

    @property
    def cpus(self) -> int:
        """The cores that a shard is granted, at least one."""
        return max(1, int(self.settings.cpus_per_shard))

    @property
    def edits_text(self) -> str:
        """The edits as outputs record them: ``Eyeglasses=1@1``."""
        return edits_text(self.made_of)


@dataclass(frozen=True, kw_only=True)
class EditRequest(EditJob):
    """A job that has not been planned yet, with what only planning needs.

    Attributes:
        bundle: the model's configuration and card.
        labels, styles: the tables for single images.
    """

    bundle: BundleInfo
    labels: SourceLabels
    styles: Styles

    @property
    def attributes_from(self) -> str:
        """Where the faces' attributes before the edit come from, in words."""
        without = "the bundle's classifier" if self.bundle.config.classifier else "unknown"
        if self.settings.labels:
            return f"{self.settings.labels}, of images not listed there: {without}"
        if self.bundle.config.classifier:
            return without
        return f"{without}; neither --labels nor a classifier in the bundle"

    def open_run(self, run_id: str) -> Store:
        """The folder of one of the destination's runs."""
        return self._open(RUNS, run_id)

    def open_state(self) -> Store:
        """The folder of the lineage's cache of what is done."""
        return self._open(STATE, self.lineage)

    def _open(self, *folders: str) -> Store:
        return open_store(join(self.destination.url, *folders), option="--destination")


def resolve(settings: EditSettings) -> EditRequest:
    """Check a command's settings and read what they name, before anything is written.

    The bundle's weights are read and checked by the workers.

    Raises:
        UserError: a place that is missing or not permitted, no bundle, an unknown attribute or style, a malformed
            table, overlapping prefixes.
        StorageError: the storage failed after its retries.
    """
    source = open_store(settings.source, option="--source")
    destination = open_store(settings.destination, option="--destination")
    _refuse_overlap(source.url, destination.url)
    source.check()
    destination.check(write=True)
    return resolve_at(settings, source, destination)


def resolve_at(settings: EditSettings, source: Store, destination: Store) -> EditRequest:
    """As :func:`resolve`, for places that need no check or have been checked."""
    bundle = bundles.inspect(settings.bundle)
    attributes = list(bundle.config.attributes)
    edits = parse_edits(settings.set, settings.intensity, attributes)
    styles = read_styles(settings.style, settings.style_from, bundle.config.generator.styles)
    labels = read_source_labels(settings.labels, attributes)
    made_of = fingerprint_inputs(settings, edits, bundle.digest, labels.digest, styles.digest)
    return EditRequest(
        settings,
        source,
        destination,
        attributes,
        edits,
        made_of,
        hash_of(made_of),
        lineage_of(settings, made_of),
        bundle=bundle,
        labels=labels,
        styles=styles,
    )


def job_of(run: EditRun) -> EditJob:
    """The job of a run that has begun, with the run's settings."""
    settings = run.settings
    return EditJob(
        settings,
        open_store(settings.source),
        open_store(settings.destination, option="--destination"),
        run.attributes,
        parse_edits(settings.set, settings.intensity, run.attributes),
        run.made_of,
        run.fingerprint,
        run.lineage,
        run.replaces,
    )


def model_of(settings: EditSettings, digest: str) -> Model:
    """The model of an edit with these settings, whose bundle has this digest."""
    return Model(settings.bundle, digest, bool(settings.gpus_per_shard), settings.batch_size)


def _refuse_overlap(source: str, destination: str) -> None:
    """Refuse a destination that is, holds, or lies inside the source.

    Raises:
        UserError: they overlap.
    """
    if is_within(destination, source) or is_within(source, destination):
        raise UserError(
            "destination-overlaps-source",
            f"--destination {destination}: must not be, hold or lie inside --source {source}; "
            "the results would be read as inputs",
        )
