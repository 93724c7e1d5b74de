"""The plan of an edit run: what it is (``run.json``) and which keys each shard has (``plan/00012.parquet``).

``run.json`` is written last and create-only: a run without it has not begun, and from then on its plan never changes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict

from attgan.attributes import CELEBA
from attgan.data import celeba, codec
from attgan.editing.editor import EDIT_FORMAT
from attgan.errors import UserError
from flows.settings import EditSettings
from flows.storage import ObjectInfo, Store, is_within, join, open_store

RUNS = "_runs"
STATE = "_state"
EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp"))

PLAN_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("labels", pa.list_(pa.float32())),  # in the bundle's order; NaN or null: unknown
    ]
)
_UNFINGERPRINTED = frozenset(
    (
        "run_id",
        "dry_run",
        "shard_size",
        "cpus_per_shard",
        "gpus_per_shard",
        "max_failed_share",
        "on_existing",
        "limit",
    )
)


class Run(BaseModel):
    """An edit run, as ``run.json`` has it.

    ``fingerprint`` stands for everything that decides the bytes of the results; ``ignored`` counts the keys below the
    source prefix that were not planned, by reason.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    run_id: str
    settings: EditSettings
    bundle_digest: str
    attributes: list[str]
    fingerprint: str
    made_of: dict[str, Any]
    shards: int
    inputs: int
    bytes_in: int
    ignored: dict[str, int]

    @property
    def url(self) -> str:
        """The run's own folder."""
        return run_url(self.settings.destination, self.run_id)


def run_url(destination: str, run_id: str) -> str:
    """Where a run keeps its plan, ledgers and report."""
    return join(destination, RUNS, run_id)


def read_run(store: Store) -> Run | None:
    """The run of a run's folder, or None where it has not begun."""
    try:
        return Run.model_validate_json(store.get("run.json").data)
    except FileNotFoundError:
        return None


def what_decides_the_bytes(settings: EditSettings, bundle_digest: str) -> dict[str, Any]:
    """Everything that the results' bytes depend on, the inputs aside; its hash is the run's fingerprint."""
    chosen = settings.model_dump(exclude=set(_UNFINGERPRINTED) | {"bundle"})
    return {
        "bundle": bundle_digest,
        "settings": chosen,
        "edit_format": EDIT_FORMAT,
        "torch": torch.__version__,
        "device": "cuda" if settings.gpus_per_shard else "cpu",
        "codec": codec.VERSION,
    }


def fingerprint(made_of: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def choose_run_id(settings: EditSettings, print_of_run: str) -> str:
    """The given run id, or the unfinished run of this fingerprint, or the next one in its sequence."""
    if settings.run_id:
        return settings.run_id
    sequence = 1
    runs = open_store(join(settings.destination, RUNS), option="--destination")
    while _is_there(runs, f"{print_of_run}-{sequence:04d}/report.json"):
        sequence += 1
    return f"{print_of_run}-{sequence:04d}"


def _is_there(store: Store, key: str) -> bool:
    try:
        store.head(key)
    except FileNotFoundError:
        return False
    return True


def image_keys(source: Store, ignored: dict[str, int]) -> Iterator[ObjectInfo]:
    """The keys below the source prefix that may be images, by extension or the lack of one; the others are counted."""
    for info in source.list():
        first, name = info.key.split("/", 1)[0], info.key.rsplit("/", 1)[-1]
        extension = name[name.rfind(".") :].lower() if "." in name.lstrip(".") else ""
        if not name:
            reason = "folder marker"
        elif first in (RUNS, STATE):
            reason = "a run's own files"
        elif name.startswith("."):
            reason = "hidden"
        elif extension and extension not in EXTENSIONS:
            reason = f"not an image by its extension ({extension})"
        else:
            yield info
            continue
        ignored[reason] = ignored.get(reason, 0) + 1


def read_source_labels(url: str | None, attributes: list[str]) -> dict[str, np.ndarray]:
    """Labels by image file name, ``(n,)`` float32 in the bundle's order; attributes CelebA does not know are NaN."""
    if url is None:
        return {}
    store = open_store(url, option="--labels")
    store.check()
    labels = celeba.read_labels(*store.filesystem(), where=f"--labels {store.url}")
    matrix = np.full((len(labels), len(attributes)), np.nan, dtype=np.float32)
    for i, name in enumerate(attributes):
        if name in CELEBA:
            matrix[:, i] = labels.attributes[:, CELEBA.index(name)]
    return dict(zip(labels.image_ids.to_pylist(), matrix, strict=True))


class PlanSize(NamedTuple):
    """How much a plan holds."""

    shards: int
    inputs: int
    bytes_in: int


def write_plan(
    run: Store, inputs: Iterable[ObjectInfo], labels: dict[str, np.ndarray], shard_size: int
) -> PlanSize:
    """Cut the keys into shards of ``shard_size`` and write each one's plan, one shard in memory at a time."""
    shards = total = size = 0
    stream = iter(inputs)
    while chunk := list(islice(stream, shard_size)):
        rows = [
            {
                "key": info.key,
                "size": info.size,
                "etag": info.etag,
                "labels": labels.get(info.key.rsplit("/", 1)[-1]),
            }
            for info in chunk
        ]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=PLAN_SCHEMA), buffer, compression="zstd")
        run.put(plan_key(shards), buffer.getvalue())
        shards += 1
        total += len(rows)
        size += sum(info.size for info in chunk)
    return PlanSize(shards, total, size)


def plan_key(shard: int) -> str:
    """Where a shard's plan stands below the run's folder."""
    return f"plan/{shard:05d}.parquet"


def read_shard(run: Store, shard: int) -> list[dict[str, Any]]:
    """A shard's planned inputs: ``key``, ``size``, ``etag``, ``labels``."""
    rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(run.get(plan_key(shard)).data)).to_pylist()
    return rows


def refuse_overlap(source: str, destination: str) -> None:
    """Refuse a destination that is, holds, or lies inside the source.

    Raises:
        UserError: they overlap.
    """
    if is_within(destination, source) or is_within(source, destination):
        raise UserError(
            f"--destination {destination}: must not be, hold or lie inside --source {source}; "
            "the results would be taken for inputs"
        )
