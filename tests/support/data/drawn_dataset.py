"""A small dataset of drawn faces, as `attgan subset` would write it, for tests that train."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.manifest import MANIFEST, AttributeShare, Counts, Manifest, part_name, to_bytes
from attgan.data.shards import Dataset, PartNote, entry, open_dataset, write_part
from attgan.data.stored import pack_image, storage
from attgan.data.subsets import parse_subset
from attgan.drawn_faces.dataset import face_at, image_name, picture
from attgan.drawn_faces.labels import labels

PLAN = "0" * 64


def write_drawn_dataset(
    folder: Path,
    count: int,
    *,
    size: int = 64,
    parts: int = 2,
    seed: int = 0,
    glasses_share: float = 0.4,
    validation: bool = True,
) -> Dataset:
    """Draw ``count`` faces and write them as cropped shards; every seventh is in the validation partition, if any."""
    drawn = [labels(face_at(number, seed, glasses_share)) for number in range(count)]
    table = Labels(
        pa.array([image_name(number) for number in range(count)]),
        np.array([[bool(face[name]) for name in CELEBA] for face in drawn]),
        np.array([int(validation and number % 7 == 3) for number in range(count)], dtype=np.int8),
    )
    entries = []
    folder.mkdir(parents=True, exist_ok=True)
    for index, rows in enumerate(np.array_split(np.arange(count), parts)):
        images = [pack_image(picture(int(row), seed, glasses_share), "cropped", size) for row in rows]
        data = write_part(table.take(rows), images, PartNote(PLAN, index, size, ()))
        (folder / part_name(index)).write_bytes(data)
        entries.append(entry(part_name(index), data, len(rows)))
    share = table.attributes.mean(axis=0)
    manifest = Manifest(
        plan=PLAN,
        subset=parse_subset("all"),
        seed=seed,
        counts=Counts(
            labelled=count,
            eligible=count,
            at_hand=count,
            not_at_hand=0,
            chosen=count,
            unreadable=0,
            rows=count,
        ),
        images=storage("cropped", size),
        identity=False,
        attributes=tuple(
            AttributeShare(name=name, rows=round(share[i] * count), share=float(share[i]))
            for i, name in enumerate(CELEBA)
        ),
        unreadable=(),
        parts=tuple(entries),
    )
    (folder / MANIFEST).write_bytes(to_bytes(manifest))
    return open_dataset(fs.LocalFileSystem(), str(folder))
