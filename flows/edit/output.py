"""One output: written create-only with proof of authorship, and what to do where its key is taken."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from urllib.parse import quote

from attgan.errors import DataError
from flows.edit.item import Item
from flows.edit.run import Run
from flows.storage import KeyRefused, ObjectInfo, PreconditionFailed, Store

FINGERPRINT, SOURCE_ETAG = "attgan-fingerprint", "attgan-source-etag"
_TRIES = 3  # at an object that others replace meanwhile
_TAKEN = "the destination holds another object under this key"


def put_item(item: Item, source: Store, destination: Store, run: Run) -> None:
    """Write an item's encoded bytes under its output key, unless it ended before; its row says what came of it.

    Raises:
        StorageError: the storage failed after its retries.
    """
    if item.data is None:
        return
    ours = _proof(item, run)
    try:
        item.done(_put(item, destination, ours, create_only=True))
    except KeyRefused as error:
        item.fail(DataError("put", str(error)))
    except FileExistsError:
        _put_where_taken(item, source, destination, ours, run)


def _proof(item: Item, run: Run) -> dict[str, str]:
    """The metadata by which an output is known as this run's, and as an edited image."""
    return {
        FINGERPRINT: run.fingerprint,
        SOURCE_ETAG: quote(item.row.source_etag.strip('"'), safe="-"),
        "attgan-model": run.made_of["bundle"],
        "attgan-edit": "none" if item.present else quote(run.edits_text, safe="=@, "),
    }


def _put(
    item: Item,
    destination: Store,
    ours: Mapping[str, str],
    *,
    create_only: bool = False,
    if_match: str | None = None,
) -> str:
    return destination.put(
        item.row.output_key,
        item.data or b"",
        create_only=create_only,
        if_match=if_match,
        metadata=ours,
        content_type=item.content_type,
    )


def _put_where_taken(
    item: Item, source: Store, destination: Store, ours: Mapping[str, str], run: Run
) -> None:
    """Decide by what stands there. Only what was looked at is ever replaced: by compare-and-swap."""
    key, on_existing = item.row.output_key, run.settings.on_existing
    for _ in range(_TRIES):
        try:
            there = destination.head(key)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                item.done(_put(item, destination, ours, create_only=True))
                return
            continue
        if _is_this_result(item, there, destination, ours):
            item.done(there.etag, found=True)
            return
        if _is_of_earlier_content(item, there, run):
            if not _is_current(item, source):
                item.skip("put", "the source has changed while it was edited; the next run edits it")
                return
        elif on_existing == "skip":
            item.skip("put", f"{_TAKEN} (--on-existing overwrite --redo replaces it)")
            return
        elif on_existing == "fail":
            item.fail(DataError("put", f"{_TAKEN} (--on-existing fail)"))
            return
        with contextlib.suppress(PreconditionFailed):
            item.done(_put(item, destination, ours, if_match=there.etag))
            return
    item.fail(DataError("put", "others keep writing under this key"))


def _is_this_result(item: Item, there: ObjectInfo, destination: Store, ours: Mapping[str, str]) -> bool:
    """By its metadata, or on disk, which has none, by its bytes."""
    if there.metadata:
        return all(there.metadata.get(name) == ours[name] for name in (FINGERPRINT, SOURCE_ETAG))
    if there.size != len(item.data or b""):
        return False
    try:
        return destination.get(item.row.output_key).data == item.data
    except FileNotFoundError:
        return False


def _is_of_earlier_content(item: Item, there: ObjectInfo, run: Run) -> bool:
    """Whether it is what we made when the source was another one, or what another run made that may be replaced."""
    return there.etag == item.replaces or there.metadata.get(FINGERPRINT) in (run.fingerprint, *run.replaces)


def _is_current(item: Item, source: Store) -> bool:
    """Whether the source is still what was fetched: a straggler must not put the older edit over the newer one."""
    try:
        return source.head(item.row.key).etag == item.row.source_etag
    except FileNotFoundError:
        return False
