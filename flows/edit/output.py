"""One output: written create-only with proof of authorship, and what to do where its key is taken."""

from __future__ import annotations

from attgan.errors import DataError
from flows.edit.item import Item
from flows.edit.run import Run
from flows.storage import KeyRefused, Store


def put_item(item: Item, destination: Store, run: Run) -> None:
    """Write an item's encoded bytes under its output key, unless it ended before; its row says what came of it.

    Raises:
        StorageError: the storage failed after its retries.
    """
    if item.data is None:
        return
    ours = {"attgan-fingerprint": run.fingerprint, "attgan-source-etag": item.row.source_etag.strip('"')}
    try:
        destination.put(
            item.row.output_key, item.data, create_only=True, metadata=ours, content_type=item.content_type
        )
    except KeyRefused as error:
        item.fail(DataError("put", str(error)))
        return
    except FileExistsError:
        if not _is_ours(item, destination, ours):
            _put_over(item, destination, ours, run.settings.on_existing)
            return
    item.row.status = "edited"
    item.data = None


def _is_ours(item: Item, destination: Store, ours: dict[str, str]) -> bool:
    """Whether what stands there is this very result: by its metadata, or on disk, which has none, by its bytes."""
    there = destination.head(item.row.output_key)
    if there.metadata:
        return all(there.metadata.get(name) == value for name, value in ours.items())
    if there.size != len(item.data or b""):
        return False
    return destination.get(item.row.output_key).data == item.data


def _put_over(item: Item, destination: Store, ours: dict[str, str], rule: str) -> None:
    if rule == "overwrite":
        data, content_type = item.data or b"", item.content_type
        destination.put(item.row.output_key, data, metadata=ours, content_type=content_type)
        item.row.status = "edited"
    elif rule == "skip":
        item.skip("put", "the destination holds another object under this key")
    else:
        item.fail(
            DataError("put", "the destination holds another object under this key (--on-existing fail)")
        )
    item.data = None
