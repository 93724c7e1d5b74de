"""The stages that read an input: its bytes, then its pixels."""

from __future__ import annotations

from collections.abc import Iterator

from attgan.data import codec
from attgan.data.codec import Limits
from attgan.editing.photographs import Photograph
from attgan.errors import DataError, NotAnImage
from flows.edit.job import EditJob
from flows.edit.naming import is_named_as_image
from flows.edit.shard.item import Chunk, Item
from flows.storage import ObjectRefused, denials

# After decoding, a chunk is split so that each part holds about so many pixels, or one batch of images.
PART_PIXELS = 8_000_000


def fetch(item: Item, job: EditJob) -> None:
    """Read an input's bytes. What cannot be read, or is too large, ends as failed or skipped.

    Raises:
        StorageError: the storage failed after its retries.
    """
    if item.refused is not None:
        item.fail(DataError("list", item.refused))
        return
    if item.size > job.limits.max_bytes:
        reason = f"{item.size:,} bytes; the limit is {job.limits.max_bytes:,}"
        if is_named_as_image(item.row.key):
            item.fail(DataError("fetch", reason))
        else:
            item.skip("fetch", reason)
        return
    try:
        fetched = denials.get(job.source, item.row.key)
    except FileNotFoundError:
        item.fail(DataError("fetch", "deleted since it was planned"))
        return
    except ObjectRefused as error:
        item.refuse("fetch", error)
        return
    item.data = fetched.data
    may_be_copied = "copy" in (job.settings.on_present, job.settings.on_unsure)
    item.original = fetched.data if may_be_copied else None
    item.row.source_etag = fetched.etag
    item.row.bytes_in = len(fetched.data)


def decode_in_parts(chunk: Chunk, limits: Limits, most: int) -> Iterator[Chunk]:
    """Decode a chunk, and pass it on in parts of about :data:`PART_PIXELS`, or of ``most`` images."""
    part: Chunk = []
    pixels = 0
    for item in chunk:
        part.append(item)
        if item.data is not None:
            _decode(item, limits)
        if item.photograph is not None:
            height, width = item.photograph.image.pixels.shape[:2]
            pixels += height * width
        if pixels >= PART_PIXELS or len(part) == most:
            yield part
            part, pixels = [], 0
    if part:
        yield part


def _decode(item: Item, limits: Limits) -> None:
    data, item.data = item.data, None
    try:
        image = codec.decode(data or b"", limits)
    except DataError as error:
        if isinstance(error, NotAnImage) and not is_named_as_image(item.row.key):
            item.skip(error.stage, error.reason)
        else:
            item.fail(error)
        return
    item.photograph = Photograph(image, item.row.key, item.labels, item.style)
    item.row.height, item.row.width = image.pixels.shape[:2]
    item.held = 4 * item.row.height * item.row.width
    if image.stored is not None:
        item.held += image.pixels.nbytes + 2 * image.stored.samples.nbytes
    item.row.notes = ", ".join(image.notes) or None
