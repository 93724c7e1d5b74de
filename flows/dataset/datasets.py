"""Datasets at a destination: their parts and manifest are found or written. Nothing is ever overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.manifest import (
    MANIFEST,
    AttributeShare,
    Counts,
    Manifest,
    PartEntry,
    Unreadable,
    from_bytes,
    part_name,
    to_bytes,
)
from attgan.data.shards import PartNote, entry, read_part
from attgan.data.stored import storage
from attgan.data.subsets import Subset, shares
from attgan.errors import UserError
from flows.settings.dataset import IngestSettings, SubsetSettings
from flows.storage import Store, join, open_store

Part = tuple[PartEntry, PartNote]
"""A part that is at the destination: its entry in the manifest, and the note in its footer."""


def read_manifest_of(url: str, option: str) -> Manifest:
    """The manifest of the dataset at a URL, which the option names.

    Raises:
        UserError: there is no dataset, or its manifest cannot be used.
        StorageError: the storage failed.
    """
    store = open_store(url, option=option)
    store.check()
    try:
        data = store.get(MANIFEST).data
    except FileNotFoundError:
        raise UserError(
            "manifest-missing", f"{option} {url}: {MANIFEST} is missing; a finished dataset has one"
        ) from None
    return from_bytes(data, f"{option} {join(url, MANIFEST)}")


def find_finished(store: Store, plan: str) -> Manifest | None:
    """The finished dataset at the destination, if it was made by the plan with this digest; None without one.

    Raises:
        UserError: the dataset there is another one, or parts of it are missing.
    """
    where = f"--destination {join(store.url, MANIFEST)}"
    try:
        manifest = from_bytes(store.get(MANIFEST).data, where)
    except FileNotFoundError:
        return None
    if manifest.plan != plan:
        raise UserError(
            "destination-holds-other-dataset",
            f"{where}: another dataset is there ({manifest.subset.name}, seed {manifest.seed}, "
            f"{manifest.counts.rows:,} rows); choose another place or delete it",
        )
    sizes = {info.key: info.size for info in store.list("part-")}
    for part in manifest.parts:
        if sizes.get(part.name) != part.bytes:
            raise UserError(
                "dataset-damaged",
                f"{where}: {part.name} is missing or changed; delete the dataset to make it again",
            )
    return manifest


def find_part(store: Store, plan: str, index: int) -> Part | None:
    """A part that an earlier run of the same plan has written; None without one.

    Raises:
        UserError: a part of another dataset is there.
    """
    name = part_name(index)
    try:
        data = store.get(name).data
    except FileNotFoundError:
        return None
    where = f"--destination {join(store.url, name)}"
    table, note = read_part(data, where)
    if (note.plan, note.index) != (plan, index):
        raise UserError(
            "destination-holds-other-dataset",
            f"{where}: is part of another dataset; choose another place or delete it",
        )
    return entry(name, data, table.num_rows), note


def put_part(store: Store, data: bytes, rows: int, note: PartNote) -> tuple[Part, bool]:
    """Write a part of so many rows, and say whether it was there already: another run of the plan may be faster.

    Raises:
        UserError: a part of another dataset has its name.
        StorageError: the storage failed after its retries.
    """
    name = part_name(note.index)
    try:
        store.put(name, data, create_only=True)
    except FileExistsError:
        found = find_part(store, note.plan, note.index)
        if found is None:
            raise
        return found, True
    return (entry(name, data, rows), note), False


def too_many_unreadable(
    settings: SubsetSettings | IngestSettings, unreadable: Sequence[Unreadable], total: int
) -> str | None:
    """The line for a run of ``total`` images that stops because too many of them cannot be used; else None."""
    if len(unreadable) <= settings.max_unreadable_share * total:
        return None
    return (
        f"--max-unreadable-share {settings.max_unreadable_share:g}: {len(unreadable):,} of {total:,} images cannot be "
        f"used ({_first(unreadable)}); stopped; the same command continues with a higher limit"
    )


def _first(unreadable: Sequence[Unreadable]) -> str:
    return f"{unreadable[0].image_id}: {unreadable[0].reason}" if unreadable else "none was drawn"


def build_manifest(
    settings: SubsetSettings | IngestSettings,
    plan: str,
    subset: Subset,
    labels: Labels,
    counts: Counts,
    parts: Sequence[Part],
    *,
    seed: int = 0,
    unknown: np.ndarray | None = None,
) -> Manifest:
    """The manifest of a dataset.

    Args:
        settings: of the run.
        plan: its digest.
        subset: which rows were chosen.
        labels: of the chosen rows.
        counts: those of the plan.
        parts: all of them, in order.
        seed: with which rows were drawn.
        unknown: ``(n, 40)`` bool, which labels are unknown; None: none.

    Raises:
        UserError: no image could be opened.
    """
    unreadable = tuple(image for _, note in parts for image in note.unreadable)
    rows = sum(part.rows for part, _ in parts)
    if not rows:
        raise UserError(
            "images-unreadable",
            f"--source {settings.source}: no image opens ({_first(unreadable)})",
        )
    left_out = {image.image_id for image in unreadable}
    kept = np.array([name not in left_out for name in labels.image_ids.to_pylist()])
    return Manifest(
        plan=plan,
        subset=subset,
        seed=seed,
        counts=counts.model_copy(update={"unreadable": len(unreadable), "rows": rows}),
        images=storage(settings.store, min(note.side for part, note in parts if part.rows)),
        identity=labels.identity is not None,
        attributes=known_shares(labels.attributes[kept], None if unknown is None else unknown[kept]),
        unreadable=unreadable,
        parts=tuple(part for part, _ in parts),
    )


def known_shares(attributes: np.ndarray, unknown: np.ndarray | None) -> tuple[AttributeShare, ...]:
    """The shares of the attributes that are known for all rows, in descending order."""
    left_out = () if unknown is None else {name for i, name in enumerate(CELEBA) if unknown[:, i].any()}
    return tuple(
        AttributeShare(name=share.name, rows=share.rows, share=round(share.share, 6))
        for share in shares(attributes)
        if share.name not in left_out
    )


def figures(manifest: Manifest, made: int) -> dict[str, Any]:
    """What a result says of the files of a dataset, of which this run has made so many parts."""
    size = sum(part.bytes for part in manifest.parts)
    return {
        "parts": len(manifest.parts),
        "parts made before": len(manifest.parts) - made,
        "bytes": size,
        "bytes per image": round(size / manifest.counts.rows),
        "images stored": f"{manifest.images.geometry}, faces of {manifest.images.side} pixels",
    }


def publish(store: Store, manifest: Manifest) -> None:
    """Write the manifest.

    Raises:
        UserError: another run has written another manifest meanwhile.
    """
    data = to_bytes(manifest)
    try:
        store.put(MANIFEST, data, create_only=True, content_type="application/json")
    except FileExistsError:
        if store.get(MANIFEST).data != data:
            where = join(store.url, MANIFEST)
            raise UserError(
                "destination-holds-other-dataset",
                f"--destination {where}: another run has written another dataset here",
            ) from None
