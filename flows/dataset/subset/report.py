"""The results of a subset run: the manifest, tables, and a sheet of faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attgan.data import codec
from attgan.data.manifest import AttributeShare, Manifest, Unreadable
from attgan.data.shards import read_part
from attgan.data.stored import storage, unpack_face
from attgan.data.subsets import shares
from attgan.errors import UserError
from flows.dataset.subset.part import PartResult
from flows.dataset.subset.plan import Plan
from flows.storage import Store

SHOWN = 100
_COLUMNS, _ROWS, _FACE = 8, 4, 128


def build_manifest(plan: Plan, parts: Sequence[PartResult]) -> Manifest:
    """The manifest of these parts, given in order.

    Raises:
        UserError: no image could be opened.
    """
    unreadable = tuple(image for part in parts for image in part.note.unreadable)
    rows = sum(part.entry.rows for part in parts)
    if not rows:
        raise UserError(
            "images-unreadable", f"--source {plan.settings.source}: no image opens ({_first(unreadable)})"
        )
    left_out = {image.image_id for image in unreadable}
    kept = np.array([name not in left_out for name in plan.labels.image_ids.to_pylist()])
    return Manifest(
        plan=plan.digest,
        subset=plan.subset,
        seed=plan.settings.seed,
        counts=plan.counts.model_copy(update={"unreadable": len(unreadable), "rows": rows}),
        images=storage(plan.settings.store, min(part.note.side for part in parts if part.entry.rows)),
        identity=plan.labels.identity is not None,
        attributes=tuple(
            AttributeShare(name=share.name, rows=share.rows, share=round(share.share, 6))
            for share in shares(plan.labels.attributes[kept])
        ),
        unreadable=unreadable,
        parts=tuple(part.entry for part in parts),
    )


def too_many_unreadable(unreadable: Sequence[Unreadable], plan: Plan) -> str:
    """The line for a run that stops because too many images cannot be used."""
    return (
        f"--max-unreadable-share {plan.settings.max_unreadable_share:g}: {len(unreadable):,} of "
        f"{plan.counts.chosen:,} images cannot be used ({_first(unreadable)}); stopped; the same command "
        "continues with a higher limit"
    )


def result(url: str, manifest: Manifest, parts: Sequence[PartResult], seconds: float) -> dict[str, Any]:
    """The result of the flow. ``parts`` are those of this run; none if the dataset existed already."""
    made = [part for part in parts if not part.reused]
    images = sum(part.entry.rows + len(part.note.unreadable) for part in made)
    size = sum(part.bytes for part in manifest.parts)
    return {
        "dataset": url,
        "subset": manifest.subset.name,
        **{name.replace("_", " "): count for name, count in manifest.counts.model_dump().items()},
        "parts": len(manifest.parts),
        "parts made before": len(manifest.parts) - len(made),
        "bytes": size,
        "bytes per image": round(size / manifest.counts.rows),
        "images stored": f"{manifest.images.geometry}, faces of {manifest.images.side} pixels",
        "seconds": round(seconds, 1),
        "images per second": round(images / seconds) if images else 0,
        "worker seconds": _worker_seconds(made),
    }


def count_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """The number of rows after each step, as a table."""
    meanings = {
        "labelled": "rows of the label file",
        "eligible": "in the chosen partitions",
        "at_hand": "with an image file",
        "not_at_hand": "without one",
        "chosen": "drawn for the subset",
        "unreadable": "drawn, but the image cannot be used",
        "rows": "in the dataset",
    }
    counts = manifest.counts.model_dump()
    return [{"rows": f"{counts[name]:,}", "meaning": meaning} for name, meaning in meanings.items()]


def attribute_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """The attributes in descending order of their share, as a table."""
    return [
        {"attribute": item.name, "rows": f"{item.rows:,}", "share": f"{item.share:.2f}"}
        for item in manifest.attributes
    ]


def contact_sheet(store: Store, manifest: Manifest) -> bytes | None:
    """A JPEG of the dataset's first faces, read back from storage; None for an empty dataset."""
    part = next((part for part in manifest.parts if part.rows), None)
    if part is None:
        return None
    table, _ = read_part(store.get(part.name).data, part.name)
    size = min(_FACE, manifest.images.side)
    images = table.column("image")[: _COLUMNS * _ROWS].to_pylist()
    faces = [unpack_face(image, manifest.images, size) for image in images]
    columns = min(_COLUMNS, len(faces))
    blank = np.full((size, size, 3), 255, dtype=np.uint8)
    faces += [blank] * (-len(faces) % columns)
    rows = [np.hstack(faces[i : i + columns]) for i in range(0, len(faces), columns)]
    return codec.encode(codec.Decoded(np.vstack(rows), "JPEG"), quality=90)


def _worker_seconds(made: Sequence[PartResult]) -> str:
    stages: dict[str, float] = {}
    for part in made:
        for stage, seconds in part.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    return ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in stages.items()) or "none"


def _first(unreadable: Sequence[Unreadable]) -> str:
    return f"{unreadable[0].image_id}: {unreadable[0].reason}" if unreadable else "none was drawn"
