"""One HTML page of an edit run to look at: faces before and after, the least convincing first, and what failed.

The page needs no server and no other file: its pictures are part of it.
"""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import torch
from PIL import Image

from attgan.data import codec
from attgan.data.transforms import Box, to_float
from attgan.detection import Face
from attgan.editing.placement import Placement, aligned_placement, box_placement, placement_of, take_face
from attgan.errors import DataError
from attgan.models import Bundle
from flows.edit.ledger import finished_shards, read_rows
from flows.edit.report.finished_runs import find_run
from flows.edit.run import PREVIEW, EditRun
from flows.runtime.terminal import ProgressLines
from flows.settings import PreviewSettings, seconds_of
from flows.storage import StorageError, Store, join, open_store
from flows.storage.bundles import open_bundle
from flows.storage.links import link_of

LARGEST = 50 * 10**6
"""The largest page in bytes. Further pictures are left out."""

# Side of a picture, in pixels, and how much more than the face's square it shows.
_SIDE, _AROUND = 208, 1.35
_READERS = 8
_COLUMNS = ["key", "output_key", "status", "stage", "reason", "faces", "style", "notes"]


@dataclass
class Shown:
    """An image on the page.

    Attributes:
        row: of the ledger.
        before, after: JPEGs of its largest face; None where there is none or it cannot be read.
        sure: the classifier's probability that the edited face shows what was asked for; None if unknown.
    """

    row: dict[str, Any]
    before: bytes | None = None
    after: bytes | None = None
    sure: float | None = None


def write_preview(settings: PreviewSettings) -> dict[str, Any]:
    """Write the page.

    Returns:
        ``page``, its URL; ``link``, which a browser opens; ``images`` on it; ``left_out``; ``bytes``.

    Raises:
        UserError: there is no such run, or the page cannot be written.
        StorageError: the storage failed after its retries.
    """
    run, store = find_run(settings.run)
    counts, chosen = _choose(store, settings.images)
    shown = [Shown(row) for row in chosen]
    if not (settings.no_faces or run.settings.no_faces):
        with_faces(run, shown, open_bundle(settings.bundle or run.settings.bundle, with_discriminator=False))
    shown.sort(key=lambda one: (one.sure is None, one.sure or 0.0, one.row["key"]))
    place, _, name = (settings.output or join(run.url, PREVIEW)).rpartition("/")
    content = page_of(run, counts, shown)
    store = open_store(place, option="--output")
    store.put(name, content, content_type="text/html; charset=utf-8")
    total = sum(counts.values())
    return {
        "page": join(place, name),
        "link": link_of(store, name, seconds_of(settings.link_lifetime)),
        "images": len(shown),
        "left_out": total - len(shown),
        "bytes": len(content),
    }


def _choose(store: Store, most: int) -> tuple[Counter[str], list[dict[str, Any]]]:
    """All rows by status, and the rows to show: failed ones first, the others by the hash of their keys."""
    counts: Counter[str] = Counter()
    kept: list[dict[str, Any]] = []
    for key in finished_shards(store).values():
        rows = read_rows(store, key).select(_COLUMNS).to_pylist()
        counts.update(row["status"] for row in rows)
        kept = nsmallest(most, kept + rows, key=_rank)
    return counts, kept


def _rank(row: dict[str, Any]) -> tuple[bool, bytes]:
    return row["status"] != "failed", sha256(row["key"].encode()).digest()


def with_faces(run: EditRun, shown: Sequence[Shown], bundle: Bundle) -> None:
    """Read the images and fill in their pictures, and how sure the classifier is of the edited ones."""
    source, destination = open_store(run.settings.source), open_store(run.settings.destination)
    limits = codec.Limits(max_pixels=run.settings.max_pixels)
    network = bundle.classifier
    size = bundle.config.generator.image_size
    wanted = [(run.attributes.index(name), value) for name, value, _ in run.made_of["edits"]]
    progress = ProgressLines("images", len(shown))

    def fill(one: Shown) -> None:
        before = _pixels(source, one.row["key"], limits)
        written = one.row["status"] == "edited"
        after = _pixels(destination, one.row["output_key"], limits) if written else None
        seen = before if before is not None else after
        if seen is None:
            return
        place = _place(one.row, seen)
        around = place.widened(_AROUND) if one.row["faces"] else place
        one.before = None if before is None else _jpeg(take_face(before, around, _SIDE))
        # With `--output face` the result is the face alone.
        whole = after is not None and after.shape == seen.shape
        if after is not None:
            one.after = _jpeg(take_face(after, around, _SIDE) if whole else after)
        if after is not None and whole and network is not None:
            one.sure = _sure(network, take_face(after, place, size), wanted)

    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(fill, shown):
            progress.advance(1)


def _pixels(store: Store, key: str, limits: codec.Limits) -> np.ndarray | None:
    try:
        return codec.decode(store.get(key).data, limits).pixels
    except (DataError, FileNotFoundError, StorageError):
        return None


def _place(row: dict[str, Any], pixels: np.ndarray) -> Placement:
    """Where the largest face is; the middle of an image without one."""
    height, width = pixels.shape[:2]
    if row["faces"]:
        face = row["faces"][0]
        landmarks = np.array(face["landmarks"], np.float32).reshape(5, 2)
        return placement_of(Face(tuple(face["box"]), landmarks, face["confidence"]))
    side = min(width, height)
    middle = Box((width - side) // 2, (height - side) // 2, side)
    return aligned_placement(width, height) or box_placement(middle)


def _sure(network: torch.nn.Module, face: np.ndarray, wanted: Iterable[tuple[int, bool]]) -> float:
    with torch.inference_mode():
        images = to_float(torch.from_numpy(face.copy()).permute(2, 0, 1)[None])
        chances = torch.sigmoid(network(images)[0]).tolist()
    return min(chances[place] if value else 1 - chances[place] for place, value in wanted)


def page_of(run: EditRun, counts: Counter[str], shown: Sequence[Shown]) -> bytes:
    """The page. Pictures that would make it larger than :data:`LARGEST` are left out, and it says so."""
    size, cards, without = 0, [], 0
    for one in shown:
        pictures = [picture for picture in (one.before, one.after) if picture is not None]
        # Base64 makes four bytes of three.
        more = sum(len(picture) for picture in pictures) * 4 // 3 + 1000
        fits = size + more < LARGEST
        size += more if fits else 1000
        without += bool(pictures) and not fits
        cards.append(_card(one, pictures if fits else []))
    total = sum(counts.values())
    remarks = (
        [f"{total - len(shown):,} more images of the run are not on this page"] if total > len(shown) else []
    )
    if without:
        remarks.append(f"{without:,} images are here without pictures, because the page would be too large")
    filters = "".join(
        f'<label><input type="checkbox" checked value="{status}"> {status} {count:,}</label>'
        for status, count in counts.most_common()
    )
    template = Template(files("flows.evaluation").joinpath("preview_template.html").read_text())
    return template.substitute(
        run=html.escape(run.run_id),
        source=html.escape(run.settings.source),
        destination=html.escape(run.settings.destination),
        edits=html.escape(run.edits_text),
        filters=filters,
        remarks=html.escape("; ".join(remarks)),
        cards="\n".join(cards),
    ).encode()


def _card(one: Shown, pictures: Sequence[bytes]) -> str:
    row = one.row
    tags = "".join(
        f'<img alt="" width="{_SIDE}" height="{_SIDE}" src="data:image/jpeg;base64,{b64encode(picture).decode()}">'
        for picture in pictures
    )
    words = [row["status"]]
    if one.sure is not None:
        words.append(f"{one.sure:.1%} sure")
    if row["reason"]:
        words.append(f"{row['stage']}: {row['reason']}")
    words += [row[name] for name in ("style", "notes") if row[name]]
    return (
        f'<figure data-status="{row["status"]}"><div>{tags}</div>'
        f"<figcaption><b>{html.escape(row['key'])}</b><br>{html.escape('; '.join(words))}</figcaption></figure>"
    )


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).resize((_SIDE, _SIDE)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
