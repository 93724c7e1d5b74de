"""The drawn faces of both demos."""

from __future__ import annotations

from typing import Any

from attgan.drawn_faces import write_celeba
from flows.runtime.terminal import ProgressLines
from flows.storage import open_store


def draw_into_bucket(url: str, count: int, **options: Any) -> None:
    """Draw faces in CelebA's layout into a bucket, which is created, and show the progress in the terminal.

    Args:
        url: of the folder in the bucket.
        count: of the faces.
        options: of :func:`attgan.drawn_faces.write_celeba`.
    """
    store = open_store(url)
    store.make_bucket()
    filesystem, path = store.filesystem()
    progress = ProgressLines("faces drawn", count).reach
    write_celeba(path, count, filesystem=filesystem, progress=progress, **options)
