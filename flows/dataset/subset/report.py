"""The results of a subset run: the manifest, tables, and a sheet of faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attgan.data import codec
from attgan.data.manifest import Manifest
from attgan.data.shards import read_part
from attgan.data.stored import unpack_face
from flows.dataset.datasets import build_manifest, figures
from flows.dataset.subset.part import PartResult
from flows.dataset.subset.plan import Plan
from flows.storage import Store

SHOWN = 100
_COLUMNS, _ROWS, _FACE = 8, 4, 128


def manifest_of(plan: Plan, parts: Sequence[PartResult]) -> Manifest:
    """The manifest of all parts of a plan, given in order. Raises as :func:`build_manifest`."""
    made = [(part.entry, part.note) for part in parts]
    return build_manifest(
        plan.settings, plan.digest, plan.subset, plan.labels, plan.counts, made, seed=plan.settings.seed
    )


def result(url: str, manifest: Manifest, parts: Sequence[PartResult], seconds: float) -> dict[str, Any]:
    """The result of the flow. ``parts`` are those of this run; none if the dataset existed already."""
    made = [part for part in parts if not part.reused]
    images = sum(part.entry.rows + len(part.note.unreadable) for part in made)
    return {
        "dataset": url,
        "subset": manifest.subset.name,
        **{_name(name): count for name, count in manifest.counts.model_dump().items()},
        **figures(manifest, len(made)),
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


def _name(count: str) -> str:
    """The name of a count of the manifest for people. ``hand`` is a former word that manifests keep."""
    return {"at_hand": "available", "not_at_hand": "missing"}.get(count, count)
