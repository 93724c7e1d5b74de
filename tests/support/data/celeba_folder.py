"""A small folder in CelebA's layout, made on the spot."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attgan.attributes import CELEBA
from tests.support.images.pictures import noise, saved

GLASSES = CELEBA.index("Eyeglasses")


def image_ids(count: int) -> list[str]:
    """``000001.jpg`` and so on, as CelebA names them."""
    return [f"{number:06d}.jpg" for number in range(1, count + 1)]


def attributes(count: int, positives: int) -> np.ndarray:
    """``(count, 40)`` bool; every ``count / positives``-th row has Eyeglasses."""
    matrix = np.random.default_rng(count).random((count, len(CELEBA))) < 0.3
    matrix[:, GLASSES] = np.arange(count) * positives // count != (np.arange(count) + 1) * positives // count
    return matrix


def label_files(count: int, positives: int) -> dict[str, str]:
    """The three label files; of ten rows eight are train, one valid, one test."""
    names = image_ids(count)
    rows = zip(names, attributes(count, positives), strict=True)
    lines = [" ".join([name, *("1" if value else "-1" for value in row)]) for name, row in rows]
    partitions = [{8: 1, 9: 2}.get(i % 10, 0) for i in range(count)]
    return {
        "list_attr_celeba.txt": "\n".join([str(count), " ".join(CELEBA), *lines]) + "\n",
        "list_eval_partition.txt": "".join(f"{n} {p}\n" for n, p in zip(names, partitions, strict=True)),
        "identity_CelebA.txt": "".join(f"{name} {i // 3 + 1}\n" for i, name in enumerate(names)),
    }


def write_folder(
    folder: Path,
    rows: int = 60,
    positives: int = 12,
    missing: int = 0,
    instead: Mapping[str, bytes] | None = None,
) -> Path:
    """Write it; the last ``missing`` rows have no image, and ``instead`` replaces some images' bytes."""
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    for name, text in label_files(rows, positives).items():
        (folder / name).write_text(text)
    for number, name in enumerate(image_ids(rows)[: rows - missing]):
        (images / name).write_bytes(saved(noise(number), quality=80))
    for name, data in (instead or {}).items():
        (images / name).write_bytes(data)
    return folder
