"""Makes a dataset from tables of images and labels: in this process, part by part, resumable.

Parts keep the order of the source: part i consists of the rows i·n to (i+1)·n. Parts of a run that was killed are used
again. At most three parts are in memory: one being read, one being packed and one being written.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from typing import Any

import numpy as np

from attgan.attributes import CELEBA
from attgan.data.celeba import PARTITIONS
from attgan.data.loading.decoding import decoding_pool
from attgan.data.loading.prefetch import Prefetched
from attgan.data.manifest import SCHEMA, Counts, Unreadable, part_name
from attgan.data.shards import PartNote, write_part
from attgan.data.stored import StoredImage, pack_image
from attgan.data.subsets import parse_subset
from attgan.data.tables import Tables, read_tables
from attgan.errors import DataError, UserError
from flows.dataset.datasets import (
    Part,
    build_manifest,
    figures,
    find_finished,
    find_part,
    known_shares,
    publish,
    put_part,
    too_many_unreadable,
)
from flows.runtime.terminal import ProgressLines, print_line
from flows.settings.dataset import IngestSettings
from flows.storage import Store, is_within, open_store

# Images that a thread packs at a time.
_CHUNK = 32


def ingest(settings: IngestSettings) -> dict[str, Any]:
    """Make the dataset, unless it exists already, and return its figures.

    Raises:
        UserError: a mistake in the settings or in the source, another dataset at the destination, or too many
            images that do not open.
    """
    started = time.monotonic()
    store = open_store(_check_destination(settings), option="--destination")
    store.check(write=True)
    tables = read_source(settings)
    for line in _remarks(tables):
        print_line(line)
    plan = digest(settings, tables)
    manifest = find_finished(store, plan)
    made = 0
    if manifest is None:
        parts, made = _make_parts(settings, tables, store, plan)
        total = len(tables.labels)
        counts = Counts(
            labelled=total,
            eligible=total,
            at_hand=total,
            not_at_hand=0,
            chosen=total,
            unreadable=0,
            rows=total,
        )
        manifest = build_manifest(
            settings, plan, parse_subset("all"), tables.labels, counts, parts, unknown=tables.unknown
        )
        publish(store, manifest)
    return {
        "dataset": store.url,
        "rows": manifest.counts.rows,
        "unreadable": manifest.counts.unreadable,
        **figures(manifest, made),
        "attributes": len(manifest.attributes),
        "seconds": round(time.monotonic() - started, 1),
    }


def describe(settings: IngestSettings) -> list[dict[str, Any]]:
    """What a run would make, as rows of a table. Reads everything except the images, and writes nothing.

    Raises:
        UserError: a mistake in the settings or in the source.
    """
    tables = read_source(settings)
    columns, labels = tables.columns, tables.labels
    rows: list[dict[str, Any]] = [
        {"what": "files", "value": f"{len(tables.files):,}"},
        {"what": "bytes", "value": f"{sum(file.bytes for file in tables.files):,}"},
        {"what": "rows", "value": f"{len(labels):,}"},
        {"what": "parts", "value": f"{-(-len(labels) // settings.rows_per_part):,}"},
        {"what": "images from", "value": columns.image},
        {"what": "names from", "value": columns.image_id or "file and row number"},
        {"what": "partition from", "value": columns.partition or "nowhere: no row has one"},
        {"what": "identity from", "value": columns.identity or "nowhere: unknown"},
    ]
    assert labels.partition is not None
    for number, name in enumerate((*PARTITIONS, "no partition"), start=0):
        count = int((labels.partition == (number if number < len(PARTITIONS) else -1)).sum())
        rows.append({"what": f"rows of {name}", "value": f"{count:,}"})
    if labels.identity is not None:
        rows.append({"what": "people", "value": f"{len(np.unique(labels.identity)):,}"})
    for share in known_shares(labels.attributes, tables.unknown):
        rows.append({"what": share.name, "value": f"{share.share:.2f} ({share.rows:,} rows)"})
    rows += [{"what": "remark", "value": line} for line in _remarks(tables)]
    return rows


def read_source(settings: IngestSettings) -> Tables:
    """Read everything except the images.

    Raises:
        UserError: see :func:`attgan.data.tables.read_tables`.
    """
    folder, name = settings.source, ""
    if folder.endswith(".parquet"):
        folder, _, name = folder.rpartition("/")
    source = open_store(folder or "/", option="--source")
    source.check()
    filesystem, path = source.filesystem()
    return read_tables(
        filesystem,
        f"{path}/{name}" if name else path,
        f"--source {settings.source}",
        image=settings.image_column,
        image_id=settings.id_column,
        partition=settings.partition_column,
        identity=settings.identity_column,
        rename=dict(text.split("=", 1) for text in settings.rename),
    )


def digest(settings: IngestSettings, tables: Tables) -> str:
    """The SHA-256 of all that determines the content of the parts, except the images themselves."""
    chosen = settings.model_dump(include={"store", "size", "rows_per_part"})
    return tables.digest({"schema": SCHEMA, "ingest": chosen})


def _check_destination(settings: IngestSettings) -> str:
    if settings.destination is None:
        raise UserError("option-required", "--destination: is required, except for a --dry-run")
    if is_within(settings.source, settings.destination):
        raise UserError(
            "destination-overlaps-source",
            f"--destination {settings.destination}: must not hold --source {settings.source}",
        )
    return settings.destination


def _make_parts(settings: IngestSettings, tables: Tables, store: Store, plan: str) -> tuple[list[Part], int]:
    """All parts in order, and how many of them this run has made."""
    total, step = len(tables.labels), settings.rows_per_part
    count = -(-total // step)
    there = {info.key for info in store.list("part-")}
    parts: dict[int, Part] = {}
    for index in range(count):
        found = find_part(store, plan, index) if part_name(index) in there else None
        if found is not None:
            parts[index] = found
    missing = [index for index in range(count) if index not in parts]
    progress = ProgressLines("images", total, before=sum(min(step, total - index * step) for index in parts))
    _refuse_too_many(settings, total, parts)
    with (
        decoding_pool(len(os.sched_getaffinity(0))) as pool,
        closing(Prefetched(lambda: _read(tables, missing, step), 1, "read tables")) as read,
    ):
        for index, images in zip(missing, read, strict=True):
            parts[index] = _make_part(settings, tables, store, PartNote(plan, index, 0, ()), images, pool)
            _refuse_too_many(settings, total, parts)
            progress.advance(len(images))
    return [parts[index] for index in range(count)], len(missing)


def _read(tables: Tables, missing: Sequence[int], step: int) -> Generator[list[bytes | None], None, None]:
    """The images of each missing part. The source is read once, from beginning to end."""
    position = 0
    images = tables.images(position)
    for index in missing:
        if index * step != position:
            images = tables.images(index * step)
        yield list(itertools.islice(images, step))
        position = (index + 1) * step


def _make_part(
    settings: IngestSettings,
    tables: Tables,
    store: Store,
    note: PartNote,
    images: Sequence[bytes | None],
    pool: Executor,
) -> Part:
    first = note.index * settings.rows_per_part
    packed: list[StoredImage | str] = []
    chunks = (images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK))
    for chunk in pool.map(lambda some: [_pack(image, settings) for image in some], chunks):
        packed.extend(chunk)
    rows = np.arange(first, first + len(images))
    names = tables.labels.image_ids[first : first + len(images)].to_pylist()
    kept = [image for image in packed if isinstance(image, StoredImage)]
    good = np.array([isinstance(image, StoredImage) for image in packed])
    note = PartNote(
        note.plan,
        note.index,
        min((image.side for image in kept), default=0),
        tuple(
            Unreadable(image_id=name, reason=reason)
            for name, reason in zip(names, packed, strict=True)
            if isinstance(reason, str)
        ),
    )
    data = write_part(tables.labels.take(rows[good]), kept, note, tables.unknown[rows[good]])
    return put_part(store, data, len(kept), note)[0]


def _pack(image: bytes | None, settings: IngestSettings) -> StoredImage | str:
    """The image as it is stored, or the reason why it is left out."""
    if image is None:
        return "fetch: there is no image in this row"
    try:
        return pack_image(image, settings.store, settings.size)
    except DataError as error:
        return str(error)


def _refuse_too_many(settings: IngestSettings, total: int, parts: dict[int, Part]) -> None:
    unreadable = [image for _, note in parts.values() for image in note.unreadable]
    if line := too_many_unreadable(settings, unreadable, total):
        raise UserError("unreadable-share-exceeded", line)


def _remarks(tables: Tables) -> list[str]:
    """Lines on what a user may not expect of this source."""
    lines = []
    if tables.columns.partition is None:
        lines.append(
            "no column has the partitions (training, validation, test): all rows may be used for training"
        )
    if tables.columns.ignored:
        lines.append(f"columns that are not used: {', '.join(tables.columns.ignored)}")
    nowhere = [name for i, name in enumerate(CELEBA) if tables.unknown[:, i].all()]
    partly = [name for i, name in enumerate(CELEBA) if tables.unknown[:, i].any() and name not in nowhere]
    if nowhere:
        lines.append(f"attributes that stay unknown: {', '.join(nowhere)}")
    if partly:
        lines.append(f"attributes that are unknown for some rows: {', '.join(partly)}")
    return lines
