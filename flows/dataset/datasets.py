"""Finds and publishes datasets at a destination. Nothing is ever overwritten."""

from __future__ import annotations

from attgan.data.manifest import MANIFEST, Manifest, PartEntry, from_bytes, part_name, to_bytes
from attgan.data.shards import PartNote, entry, read_part
from attgan.errors import UserError
from flows.storage import Store, join, open_store


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


def find_part(store: Store, plan: str, index: int) -> tuple[PartEntry, PartNote] | None:
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
