"""Faces that a job draws for itself where the user names no data."""

from __future__ import annotations

import os

from attgan.data.synthetic import write_celeba
from attgan.data.synthetic.dataset import LABEL_FILES
from flows import reporting
from flows.storage import has, open_store


def draw_faces(url: str, count: int, seed: int, log: reporting.Log) -> None:
    """Draw faces in CelebA's layout into a folder, unless they have all been drawn: the label files come last.

    Args:
        url: of the folder.
        count: how many faces.
        seed: of the faces.
        log: told before it begins.

    Raises:
        UserError: the place cannot be written to.
        StorageError: the storage failed after its retries.
    """
    if has(url, LABEL_FILES[-1]):
        return
    log.info("drawing %s faces into %s: no data are named", f"{count:,}", url)
    filesystem, path = open_store(url, option="--destination").filesystem()
    write_celeba(path, count, filesystem=filesystem, seed=seed, workers=len(os.sched_getaffinity(0)))
