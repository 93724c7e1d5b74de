"""What an edit run is: ``run.json``, its fingerprint and its name.

``run.json`` is written after the plan, create-only: a run without it has not begun, and from then on it never changes.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from attgan.attributes import Edit
from attgan.data import codec
from attgan.editing.editor import EDIT_FORMAT
from attgan.errors import UserError
from attgan.version import SOFTWARE
from flows.settings import DEFAULT_BUNDLE, EditSettings
from flows.storage import Store, join, open_store

RUNS = "_runs"
LATEST = "_runs/latest.json"  # names the run that ended last

MAY_CHANGE = (
    "bundle",  # another place for the same digest
    "cpus_per_shard",
    "gpus_per_shard",
    "max_bytes",
    "max_failed_share",
    "max_pixels",
    "on_existing",
)
"""Settings that decide no bytes: a run that is taken up again has those of the command that takes it up."""

_ASKED_FOR = (
    *("bundle", "edits", "faces", "min_face", "min_confidence", "paste"),
    *("output", "format", "on_present", "quality", "style", "on_unsure"),
)


class Run(BaseModel):
    """An edit run, as ``run.json`` has it.

    ``made_of`` is everything that decides the results' bytes, ``fingerprint`` its hash. ``replaces`` are the
    fingerprints of unfinished runs that this one has closed: outputs that they wrote without a ledger may be replaced.
    ``plan`` tells the run's own plan from one that another command began to write. ``ignored`` counts the keys below
    the source prefix that were not planned, by reason, ``unchanged`` the images that an earlier run of the lineage is
    done with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 2
    run_id: str
    lineage: str
    settings: EditSettings
    attributes: list[str]
    fingerprint: str
    made_of: dict[str, Any]
    replaces: list[str] = []
    plan: str
    shards: int
    inputs: int
    bytes_in: int
    ignored: dict[str, int]
    unchanged: int

    @property
    def url(self) -> str:
        """The run's own folder."""
        return run_url(self.settings.destination, self.run_id)

    @property
    def edits_text(self) -> str:
        """What is asked for, as results are marked with it: ``Eyeglasses=1@1``."""
        return ", ".join(
            f"{name}={value:d}@{intensity:g}" for name, value, intensity in self.made_of["edits"]
        )

    def under(self, settings: EditSettings) -> Run:
        """The run with the settings that may change as they are in ``settings``."""
        now = {name: getattr(settings, name) for name in MAY_CHANGE}
        return self.model_copy(update={"settings": self.settings.model_copy(update=now)})


def run_url(destination: str, run_id: str) -> str:
    """Where a run keeps its plan, ledgers and report."""
    return join(destination, RUNS, run_id)


def read_run(store: Store) -> Run | None:
    """The run of a run's folder, or None where it has not begun.

    Raises:
        UserError: ``run.json`` is damaged, or another version's.
    """
    try:
        return Run.model_validate_json(store.get("run.json").data)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(
            "run-foreign", f"{store.url}/run.json: is not a run of this version; it is left alone"
        ) from error


def what_decides_the_bytes(
    settings: EditSettings,
    edits: Sequence[Edit],
    bundle_digest: str,
    labels_digest: str | None,
    style: str | None = None,
) -> dict[str, Any]:
    """Everything that the results' bytes depend on, the inputs aside.

    Args:
        settings: of the run.
        edits: what is asked for.
        bundle_digest: of the model.
        labels_digest: of the source attributes; None without any.
        style: names of the glasses and the digest of the table of other ones; None where the bundle has no styles,
            so that runs with such a bundle are what they were before there were styles.
    """
    later = {} if style is None else {"style": style}
    if settings.on_unsure != "edit":
        later["on_unsure"] = settings.on_unsure
    return later | {
        "bundle": bundle_digest,
        "labels": labels_digest,
        "edits": [[edit.attribute, edit.value, edit.intensity] for edit in edits],
        "faces": settings.faces,
        "min_face": settings.min_face,
        "min_confidence": settings.min_confidence,
        "paste": settings.paste,
        "output": settings.output,
        "format": settings.format,
        "on_present": settings.on_present,
        "quality": settings.quality,
        "batch_size": settings.batch_size,
        "device": "cuda" if settings.gpus_per_shard else "cpu",
        "software": SOFTWARE,
        **versions(),
    }


def versions() -> dict[str, Any]:
    """What this process edits with."""
    return {"edit_format": EDIT_FORMAT, "torch": torch.__version__, "codec": codec.VERSION}


def check_versions(run: Run) -> None:
    """See that this process would write the bytes that the run is made of.

    Raises:
        UserError: a library here is of another version than where the run was begun.
    """
    for name, version in versions().items():
        if run.made_of[name] != version:
            where = f"worker {socket.gethostname()}"
            raise UserError(
                "worker-version-differs",
                f"{where}: has {name} {version}, but the run was begun with {run.made_of[name]}",
            )


def hash_of(value: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


FIRST_SHIPPED = "027567a4fe0d68ce4d01c90ee5169a4c5370ccdd917ee17ed17f5d49f18aa13d"
"""Digest of the first bundle that was shipped. Runs with the shipped bundle have its lineage, whichever it is by now: a
new version does not edit again what an earlier one is done with."""


def lineage_of(settings: EditSettings, made_of: dict[str, Any]) -> str:
    """What runs have in common that want the same of the same images: an image that one is done with is done for all.

    Library versions are not part of it, nor anything else of the fingerprint that nobody asked for. After an upgrade
    the next run edits what is new, and not a whole bucket again.
    """
    asked_for = {name: made_of[name] for name in _ASKED_FOR if name in made_of}
    if settings.bundle == DEFAULT_BUNDLE:
        asked_for["bundle"] = FIRST_SHIPPED
        # The first one knew no styles.
        if not settings.style and settings.style_from is None:
            asked_for.pop("style", None)
    return hash_of([settings.source, asked_for])


def choose_run_id(settings: EditSettings, lineage: str, fingerprint: str) -> str:
    """The given run id, or the unfinished run of these settings, or the next one in their sequence."""
    if settings.run_id:
        return settings.run_id
    runs = open_store(join(settings.destination, RUNS), option="--destination")
    name = hash_of([lineage, fingerprint, settings.limit, settings.redo])
    sequence = first_free(lambda number: is_there(runs, f"{name}-{number:04d}/report.json"))
    return f"{name}-{sequence:04d}"


def first_free(taken: Callable[[int], bool]) -> int:
    """The first number from 1 up that is not taken, where those taken have no gaps; asks a logarithm of times."""
    high = 1
    while taken(high):
        high *= 2
    low = high // 2  # taken, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(middle) else (low, middle)
    return high


def is_there(store: Store, key: str) -> bool:
    """Whether the store has this object."""
    try:
        store.head(key)
    except FileNotFoundError:
        return False
    return True
