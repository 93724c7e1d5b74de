"""The plan of an edit run: which keys each shard has (``plan/00012.<plan>.parquet``).

The listing of the source is compared with what is done a part at a time. So memory is bounded, and the first shard is
planned long before the last page of the listing has arrived.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from attgan.attributes import CELEBA
from attgan.data import celeba
from attgan.data.column_reader import read_table
from attgan.editing.styles import check_styles
from attgan.errors import UserError
from flows.edit.naming import OTHER_EXTENSIONS, extension_of, refuse_collisions
from flows.edit.plan.done import not_done
from flows.edit.run import RUNS, STATE, EditRun
from flows.settings import EditSettings
from flows.storage import ObjectInfo, Store, is_within, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Inputs that are compared with what is done at a time.
_PART = 20_000
# Inputs of the first shards, and the share of the run that a shard may have, as a divisor.
SMALLEST_SHARD, SHARDS = 50, 30
# Inputs of the largest shards on a GPU, and on CPUs, where a shard of 500 photographs takes half a minute.
LARGEST_SHARD, LARGEST_ON_CPUS = 2000, 500

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        # In the order of the bundle's attributes; NaN or null where unknown.
        ("labels", pa.list_(pa.float32())),
        # The ETag of the output that was made of the key's earlier content.
        ("replaces", pa.string()),
        # Of the key's glasses; null where the settings decide.
        ("style", pa.list_(pa.string())),
        # Why the listing says that it cannot be read; null for other inputs.
        ("refused", pa.string()),
    ]
)

# Keys below the source that are no inputs.
IGNORED = pa.schema([("key", pa.string()), ("reason", pa.string())])
_IGNORED_ROWS = 50_000


class SourceLabels(NamedTuple):
    """Labels of source images by file name, ``(n,)`` float32 each, and a digest of them all."""

    by_name: dict[str, np.ndarray]
    digest: str | None


class Styles(NamedTuple):
    """Styles of glasses for single keys, and a digest of them and of the default style.

    The digest is None if the bundle has no styles.
    """

    by_key: Mapping[str, list[str]]
    digest: str | None


class PlanSize(NamedTuple):
    """The number of shards, of images and of their bytes in a plan."""

    shards: int
    inputs: int
    bytes_in: int


class Planned(NamedTuple):
    """An input of a run. ``replaces`` is the ETag of the output that was made of the key's earlier content."""

    info: ObjectInfo
    replaces: str | None = None


@dataclass
class NotPlanned:
    """The keys below the source that are not planned. Their counts grow while the source is listed.

    Attributes:
        ignored: number of keys that are not inputs, by reason.
        unchanged: inputs that an earlier run with the same settings has finished, and that have not changed since.
        write: receives the keys that are not inputs as tables of :data:`IGNORED`, and the number of each table.
    """

    ignored: dict[str, int] = field(default_factory=dict)
    unchanged: int = 0
    write: Callable[[pa.Table, int], None] = lambda table, number: None
    _rows: list[tuple[str, str]] = field(default_factory=list)
    _tables: int = 0

    def ignore(self, key: str, reason: str) -> None:
        """Count a key that is not an input, and list it."""
        self.ignored[reason] = self.ignored.get(reason, 0) + 1
        self._rows.append((key, reason))
        if len(self._rows) == _IGNORED_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the keys that have not been written yet."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self.write(pa.table(list(map(list, columns)), schema=IGNORED), self._tables)
            self._rows, self._tables = [], self._tables + 1


def list_inputs(
    settings: EditSettings, done: DuckDBPyConnection, not_planned: NotPlanned
) -> Iterator[Planned]:
    """Yield the inputs of a run in key order: new ones and those with a new ETag, or with ``--redo`` all.

    Raises:
        UserError: two inputs would have the same output key.
    """
    inputs = list_images(settings, not_planned)
    return islice(_to_do(inputs, done, not_planned, redo=settings.redo), settings.limit)


def list_images(settings: EditSettings, not_planned: NotPlanned) -> Iterator[ObjectInfo]:
    """Yield the images below the source in key order, whether or not they are done.

    Raises:
        UserError: two inputs would have the same output key.
    """
    inputs = _image_keys(open_store(settings.source, option="--source"), not_planned.ignore)
    return inputs if settings.format == "keep" else refuse_collisions(inputs, settings.format)


def _to_do(
    inputs: Iterator[ObjectInfo], done: DuckDBPyConnection, not_planned: NotPlanned, *, redo: bool
) -> Iterator[Planned]:
    while part := list(islice(inputs, _PART)):
        found = not_done(done, part, redo=redo)
        not_planned.unchanged += len(part) - len(found)
        yield from (Planned(info, found[info.key]) for info in part if info.key in found)


def _image_keys(source: Store, ignore: Callable[[str, str], None]) -> Iterator[ObjectInfo]:
    """Yield the keys that may be images by their name, and folders that cannot be listed; ignore the others."""
    for info in source.list(passed_over=ignore):
        reason = None if info.refused and info.key.endswith("/") else _why_not(info.key)
        if reason is None:
            yield info
        else:
            ignore(info.key, reason)


def _why_not(key: str) -> str | None:
    first, name = key.split("/", 1)[0], key.rsplit("/", 1)[-1]
    if not name:
        return "folder marker"
    if first in (RUNS, STATE):
        return "a run's own files"
    if name.startswith("."):
        return "hidden"
    if (extension := extension_of(key)) in OTHER_EXTENSIONS:
        return f"not an image by its extension ({extension})"
    return None


def write_ignored(run: Store, plan: str, table: pa.Table, number: int) -> None:
    """Write a table of :data:`IGNORED`: ``ignored/00000.<plan>.parquet``."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    run.put(f"ignored/{number:05d}.{plan}.parquet", buffer.getvalue())


def read_source_labels(url: str | None, attributes: list[str]) -> SourceLabels:
    """Read the labels in the order of the bundle's ``attributes``; attributes that CelebA lacks are NaN."""
    if url is None:
        return SourceLabels({}, None)
    store = open_store(url, option="--labels")
    store.check()
    labels = celeba.read_labels(*store.filesystem(), where=f"--labels {store.url}")
    matrix = np.full((len(labels), len(attributes)), np.nan, dtype=np.float32)
    for i, name in enumerate(attributes):
        if name in CELEBA:
            matrix[:, i] = labels.attributes[:, CELEBA.index(name)]
    names = labels.image_ids.to_pylist()
    digest = hashlib.sha256("\n".join(names).encode() + matrix.tobytes()).hexdigest()[:16]
    return SourceLabels(dict(zip(names, matrix, strict=True)), digest)


def read_styles(settings: EditSettings, known: Sequence[str]) -> Styles:
    """Read the table of styles for single images, and compute a digest of everything that decides the style.

    Args:
        settings: ``style`` and ``style_from``.
        known: the bundle's styles.

    Raises:
        UserError: a style that the bundle does not know, or a malformed table.
    """
    check_styles(settings.style, known, f"--style {','.join(settings.style)}")
    if settings.style_from is None:
        return Styles({}, ",".join(settings.style) if known else None)
    where = f"--style-from {settings.style_from}"
    folder, _, name = settings.style_from.rpartition("/")
    try:
        data = open_store(folder or "/", option="--style-from").get(name).data
        source = pa.BufferReader(data)
        table = pq.read_table(source) if name.endswith(".parquet") else csv.read_csv(source)
        rows = table.select(["key", "style"]).cast(pa.schema([("key", pa.string()), ("style", pa.string())]))
    except FileNotFoundError:
        raise UserError("file-missing", f"{where}: there is no such file") from None
    except (pa.ArrowInvalid, KeyError):
        raise UserError(
            "style-table-malformed", f"{where}: must be a CSV or Parquet table with the columns key and style"
        ) from None
    by_key = {}
    for row in rows.to_pylist():
        chosen = [style.strip() for style in (row["style"] or "").split(",")]
        check_styles(chosen, known, f"{where}, key {row['key']}")
        by_key[row["key"]] = chosen
    return Styles(by_key, f"{','.join(settings.style)} {hashlib.sha256(data).hexdigest()[:16]}")


def shard_sizes(settings: EditSettings) -> Callable[[int], int]:
    """The size of a shard, from the number of the run's inputs before it.

    While inputs are listed, nobody knows how many there will be. So shards grow with the run: the first ones have 50
    inputs, or one batch, and later ones a share of what is before them. A run of any size has at least some dozens of
    shards, unless it is tiny, and the last one is a small part of it.
    """
    if (fixed := settings.shard_size) is not None:
        return lambda before: fixed
    largest = LARGEST_SHARD if settings.gpus_per_shard else LARGEST_ON_CPUS
    smallest = min(max(SMALLEST_SHARD, settings.batch_size), largest)
    return lambda before: min(max(before // SHARDS, smallest), largest)


def write_plan(
    run: Store,
    plan: str,
    inputs: Iterable[Planned],
    labels: dict[str, np.ndarray],
    size_of: Callable[[int], int],
    written: Callable[[], None] = lambda: None,
    styles: Mapping[str, list[str]] = MappingProxyType({}),
) -> PlanSize:
    """Write the plan of each shard, with one shard in memory at a time.

    ``size_of`` gives the size of the next shard, from the number of inputs before it (:func:`shard_sizes`). ``written``
    is called after each shard.
    """
    shards = total = size = 0
    stream = iter(inputs)
    while chunk := list(islice(stream, size_of(total))):
        columns = {
            "key": [planned.info.key for planned in chunk],
            "size": [planned.info.size for planned in chunk],
            "etag": [planned.info.etag for planned in chunk],
            "labels": [labels.get(planned.info.key.rsplit("/", 1)[-1]) for planned in chunk],
            "replaces": [planned.replaces for planned in chunk],
            "style": [styles.get(planned.info.key) for planned in chunk],
            "refused": [planned.info.refused for planned in chunk],
        }
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
        # The name ``plan`` is random, so no other command writes to this key.
        run.put(plan_key(plan, shards), buffer.getvalue())
        shards += 1
        total += len(chunk)
        size += sum(planned.info.size for planned in chunk)
        written()
    return PlanSize(shards, total, size)


def plan_key(plan: str, shard: int) -> str:
    """The key of a shard's plan below the run's folder."""
    return f"plan/{shard:05d}.{plan}.parquet"


def read_shard(store: Store, run: EditRun, shard: int) -> list[dict[str, Any]]:
    """Read a shard's planned inputs: rows of :data:`SCHEMA`."""
    data = store.get(plan_key(run.plan, shard)).data
    rows: list[dict[str, Any]] = read_table(pa.BufferReader(data)).to_pylist()
    return rows


def refuse_overlap(source: str, destination: str) -> None:
    """Refuse a destination that is, holds, or lies inside the source.

    Raises:
        UserError: they overlap.
    """
    if is_within(destination, source) or is_within(source, destination):
        raise UserError(
            "destination-overlaps-source",
            f"--destination {destination}: must not be, hold or lie inside --source {source}; "
            "the results would be read as inputs",
        )
