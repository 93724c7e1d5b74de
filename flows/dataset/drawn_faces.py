"""Faces that a job draws for itself where the user names no data."""

from __future__ import annotations

import json
import os

from attgan.drawn_faces import write_celeba
from attgan.drawn_faces.dataset import LABEL_FILES
from attgan.errors import UserError
from flows.runtime import reporting
from flows.storage import Store, has, open_store

DRAWN = "drawn.json"
"""What is drawn into the folder, and whether all of it is: written before the first face, and after the last."""


def draw_faces(url: str, count: int, seed: int, log: reporting.Log) -> None:
    """Draw faces in CelebA's layout into a folder, unless they have all been drawn; half of them are drawn again.

    Args:
        url: of the folder.
        count: how many faces.
        seed: of the faces.
        log: told before it begins.

    Raises:
        UserError: the folder holds other faces, or the place cannot be written to.
        StorageError: the storage failed after its retries.
    """
    wanted = {"images": count, "seed": seed}
    store = open_store(url, option="--destination")
    if _are_drawn(store, wanted):
        return
    log.info("drawing %s faces into %s: no data are named", f"{count:,}", url)
    store.put(DRAWN, json.dumps(wanted | {"complete": False}).encode())
    filesystem, path = store.filesystem()
    write_celeba(path, count, filesystem=filesystem, seed=seed, workers=len(os.sched_getaffinity(0)))
    store.put(DRAWN, json.dumps(wanted | {"complete": True}).encode())


def _are_drawn(store: Store, wanted: dict[str, int]) -> bool:
    """Whether these very faces are all there.

    Raises:
        UserError: others are.
    """
    try:
        found = json.loads(store.get(DRAWN).data)
        held = {name: found[name] for name in (*wanted, "complete")}
    except FileNotFoundError:
        if has(store.url, LABEL_FILES[0]):
            raise UserError(
                "destination-holds-other-faces",
                f"--destination {store.url}: holds faces that were not drawn for this; choose another place",
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
                f"--{name} {value}: {store.url} holds faces that were drawn with {held[name]}; other ones need "
                "another --destination",
            )
    return bool(held["complete"])
