"""The stages that write an output: its bytes, then its object.

It is written create-only and with proof of authorship. If the key exists, one look at the object decides what to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from urllib.parse import quote

from attgan.data import codec
from attgan.data.codec.provenance import Provenance, xmp_packet
from attgan.editing.photographs import put_back
from attgan.errors import DataError
from attgan.models import GeneratorConfig
from flows.edit.job import EditJob
from flows.edit.run import FINGERPRINT, LINEAGE, SOURCE_ETAG
from flows.edit.shard.item import Chunk, Item
from flows.storage import ObjectInfo, ObjectRefused, PreconditionFailed, Store, denials

# Attempts at an object that other programs replace in the meantime.
_TRIES = 3
# Begins the reason of an input whose output is somebody else's.
KEY_EXISTS = "the destination holds another object under this key"


def encode(chunk: Chunk, generator: GeneratorConfig, job: EditJob) -> None:
    """Put the edited faces of a chunk back, and encode the images.

    An image of which nothing is edited keeps its bytes, if its format and metadata are kept.
    """
    mark = xmp_packet(Provenance(job.made_of["software"], job.model.digest, job.edits_text))
    settings = job.settings
    format = None if settings.format == "keep" else settings.format.upper()
    for item in chunk:
        if item.photograph is None:
            continue
        original = item.photograph.image.format
        own = format or original
        as_it_is = settings.output == "image" and own == original and settings.metadata == "keep"
        if item.is_copy and as_it_is:
            assert item.original is not None
            data, item.row.notes = item.original, None
        else:
            try:
                image = put_back(item.photograph, generator, job.options, in_place=True)
                image = codec.prepare(image, own, settings.metadata, b"" if item.is_copy else mark)
                # The notes include what this format cannot hold.
                item.row.notes = ", ".join(image.notes) or None
                data = codec.write(image, settings.quality)
            except DataError as error:
                item.fail(error)
                continue
        item.row.bytes_out = len(data)
        item.drop()
        item.data, item.content_type = data, codec.FORMATS[own].content_type


def put(item: Item, job: EditJob) -> None:
    """Write an item's encoded bytes under its output key, and record the outcome in its row.

    An item that failed or was skipped in an earlier stage has no bytes, and nothing is written.

    Raises:
        StorageError: the storage failed after its retries.
    """
    if item.data is None:
        return
    ours = _proof(item, job)
    try:
        try:
            item.done(_put(item, job.destination, ours))
        except FileExistsError:
            _put_over_existing(item, job, ours)
    except ObjectRefused as error:
        item.refuse("put", error)


def _proof(item: Item, job: EditJob) -> dict[str, str]:
    """The metadata that marks an output as this run's, and as an edited image."""
    return {
        FINGERPRINT: job.fingerprint,
        LINEAGE: job.lineage,
        SOURCE_ETAG: quote(item.row.source_etag.strip('"'), safe="-"),
        "attgan-model": job.model.digest,
        "attgan-edit": "none" if item.is_copy else quote(job.edits_text, safe="=@, "),
    }


def _put(item: Item, destination: Store, ours: Mapping[str, str], if_match: str | None = None) -> str:
    """Create the output, or replace the object with this ETag; returns the new ETag."""
    return denials.put(
        destination,
        item.row.output_key,
        item.data or b"",
        create_only=if_match is None,
        if_match=if_match,
        metadata=ours,
        content_type=item.content_type,
    )


def _put_over_existing(item: Item, job: EditJob, ours: Mapping[str, str]) -> None:
    """Write an output whose key was taken, unless the object there is to stay (:func:`_ends_with`).

    An object is only replaced by compare-and-swap, so never one that was not looked at.
    """
    for _ in range(_TRIES):
        try:
            there = denials.head(job.destination, item.row.output_key)
        except FileNotFoundError:
            there = None
        if there is not None and _ends_with(there, item, job, ours):
            return
        with contextlib.suppress(FileExistsError, PreconditionFailed):
            item.done(_put(item, job.destination, ours, there.etag if there is not None else None))
            return
    item.fail(DataError("put", "other programs keep writing under this key"))


def _ends_with(there: ObjectInfo, item: Item, job: EditJob, ours: Mapping[str, str]) -> bool:
    """End the item if the object that has its output's key is to stay; returns whether it is.

    ================================= ==============================================================================
    the object is                     then
    ================================= ==============================================================================
    this very output                  it stays, and the item is done
    an earlier output that is ours    it is replaced, unless the source has changed since it was fetched
    a later run's, of the same source it stays, and the item is skipped
    anything else                     ``on_existing`` decides: it stays, and the item is skipped or fails; or it is
                                      replaced
    ================================= ==============================================================================
    """
    if _is_this_result(item, there, job.destination, ours):
        item.done(there.etag, found=True)
    elif _is_earlier_output(item, there, job, ours):
        if _is_current(item, job.source):
            return False
        item.skip("put", "the source has changed while it was edited; the next run edits it")
    elif there.metadata.get(LINEAGE) == job.lineage:
        item.skip("put", "a later run has edited it")
    elif job.settings.on_existing == "skip":
        item.skip("put", f"{KEY_EXISTS} (--on-existing overwrite --redo replaces it)")
    elif job.settings.on_existing == "fail":
        item.fail(DataError("put", f"{KEY_EXISTS} (--on-existing fail)"))
    else:
        return False
    return True


def _is_this_result(item: Item, there: ObjectInfo, destination: Store, ours: Mapping[str, str]) -> bool:
    """Whether the object is this very output: by its metadata, or on a disk, which has none, by its bytes."""
    if there.metadata:
        return all(there.metadata.get(name) == ours[name] for name in (FINGERPRINT, SOURCE_ETAG))
    if there.size != len(item.data or b""):
        return False
    try:
        return denials.get(destination, item.row.output_key).data == item.data
    except FileNotFoundError:
        return False


def _is_earlier_output(item: Item, there: ObjectInfo, job: EditJob, ours: Mapping[str, str]) -> bool:
    """Whether the object is an output for an earlier content of the source, or of a run that this one replaces.

    The fingerprint alone would not tell it from the output of another source with the same key.
    """
    if there.etag == item.replaces:
        return True
    marks = there.metadata
    # Outputs of earlier versions do not name their lineage.
    if marks.get(LINEAGE, job.lineage) != job.lineage:
        return False
    of_earlier_content = LINEAGE in marks and marks.get(SOURCE_ETAG) != ours[SOURCE_ETAG]
    return of_earlier_content or marks.get(FINGERPRINT) in (job.fingerprint, *job.replaces)


def _is_current(item: Item, source: Store) -> bool:
    """Whether the source still has the content that was fetched.

    If it has not, a newer run may have written a newer output already, and this one must not replace it.
    """
    try:
        return denials.head(source, item.row.key).etag == item.row.source_etag
    except FileNotFoundError:
        return False
