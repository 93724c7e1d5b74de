"""Draws faces for jobs that are started without data."""

from __future__ import annotations

import json
import os

from attgan.drawn_faces import write_celeba
from attgan.drawn_faces.dataset import LABEL_FILES
from attgan.errors import UserError
from flows.runtime import reporting
from flows.storage import Store, has, open_store

DRAWN = "drawn.json"
"""The file that records what is drawn into a folder, and whether it is complete.

It is written before the first face and after the last one.
"""


def draw_faces(url: str, count: int, seed: int, log: reporting.Log) -> None:
    """Draw faces in CelebA's layout into a folder, unless all of them are there. An incomplete folder is drawn again.

    Args:
        url: URL of the folder.
        count: the number of faces.
        seed: the seed of the faces.
        log: receives a line before drawing starts, and the progress.

    Raises:
        UserError: the folder holds other faces, or cannot be written to.
        StorageError: the storage failed after its retries.
    """
    wanted = {"images": count, "seed": seed}
    store = open_store(url, option="--destination")
    if _are_drawn(store, wanted):
        return
    log.info("drawing %s faces into %s, because no data were given", f"{count:,}", url)
    store.put(DRAWN, json.dumps(wanted | {"complete": False}).encode())
    filesystem, path = store.filesystem()
    progress = reporting.Progress(None, "faces", count, log)
    processes = len(os.sched_getaffinity(0))
    write_celeba(path, count, filesystem=filesystem, seed=seed, workers=processes, progress=progress.reach)
    store.put(DRAWN, json.dumps(wanted | {"complete": True}).encode())


def _are_drawn(store: Store, wanted: dict[str, int]) -> bool:
    """Whether exactly these faces are all there.

    Raises:
        UserError: other faces are there.
    """
    try:
        found = json.loads(store.get(DRAWN).data)
        held = {name: found[name] for name in (*wanted, "complete")}
    except FileNotFoundError:
        if has(store.url, LABEL_FILES[0]):
            raise UserError(
                "destination-holds-other-faces",
                f"--destination {store.url}: holds other faces; choose another place",
            ) from None
        return False
    except (KeyError, TypeError, ValueError):
        raise UserError(
            "drawn-faces-damaged",
            f"--destination {store.url}: {DRAWN} is damaged; choose another place, or delete the folder",
        ) from None
    for name, value in wanted.items():
        if held[name] != value:
            raise UserError(
                "destination-holds-other-faces",
                f"--{name} {value}: {store.url} holds faces that were drawn with {held[name]}; choose another "
                "--destination",
            )
    return bool(held["complete"])
