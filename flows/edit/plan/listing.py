"""The inputs of a run: the listing of the source, compared with what is done.

They are compared a part at a time. So memory is bounded, and the first shard is planned long before the last page of
the listing has arrived.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from flows.edit.job import EditJob
from flows.edit.naming import OTHER_EXTENSIONS, extension_of, refuse_collisions
from flows.edit.plan.done import not_done
from flows.edit.run import RUNS, STATE
from flows.storage import ObjectInfo, Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Inputs that are compared with what is done at a time.
_PART = 20_000

# Keys below the source that are no inputs.
IGNORED = pa.schema([("key", pa.string()), ("reason", pa.string())])
_IGNORED_ROWS = 50_000


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


def list_inputs(job: EditJob, done: DuckDBPyConnection, not_planned: NotPlanned) -> Iterator[Planned]:
    """Yield the inputs of a run in key order: new ones and those with a new ETag, or with ``--redo`` all.

    Raises:
        UserError: two inputs would have the same output key.
    """
    inputs = list_images(job.source, job.settings.format, not_planned)
    return islice(_to_do(inputs, done, not_planned, redo=job.settings.redo), job.settings.max_images)


def list_images(source: Store, format: str, not_planned: NotPlanned) -> Iterator[ObjectInfo]:
    """Yield the images of a source in key order, whether or not they are done.

    ``format`` is that of the outputs.

    Raises:
        UserError: two inputs would have the same output key.
    """
    inputs = _image_keys(source, not_planned.ignore)
    return inputs if format == "keep" else refuse_collisions(inputs, format)


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


def ignored_text(ignored: dict[str, int]) -> str:
    """The keys that were not planned, counted by reason, on one line."""
    return ", ".join(f"{count:,} {reason}" for reason, count in ignored.items()) or "the prefix is empty"
