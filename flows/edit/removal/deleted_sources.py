"""Remove the outputs of inputs that the source no longer has: of given keys, or of all that are gone."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from attgan.errors import UserError
from flows.edit.job import EditJob
from flows.edit.naming import output_key
from flows.edit.plan.done import open_done
from flows.edit.plan.runs import ListedRun, list_runs
from flows.edit.removal.outputs import Claim, Outcome, Output, remove
from flows.edit.removal.pictures import remove_pictures
from flows.edit.removal.removed import time_of_removal
from flows.edit.run import STATE
from flows.storage import AccessDenied, ObjectRefused, Store, join, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SOURCE_EXISTS = "its source exists"
_PART = 50_000
_REQUESTS_IN_FLIGHT = 32

# The keys of a lineage, each with the ETag of its output, which is null without one.
Found = Iterable[tuple[str, str | None]]

_GIVEN = "SELECT key, output_etag FROM done WHERE key IN (SELECT unnest($keys))"
_WITHOUT_SOURCE = (
    "SELECT key, output_etag FROM done ANTI JOIN present USING (key) WHERE output_etag IS NOT NULL"
)


def forget(destination: Store, keys: Collection[str], *, dry_run: bool = False) -> Outcome:
    """Remove the outputs of these inputs, whatever edits made them, with what reports and previews show of them.

    Args:
        destination: whose lease the caller holds, unless it is a dry run.
        keys: of inputs, below their source.
        dry_run: whether to look only.

    Raises:
        UserError: no run there has had such an input, or a source is missing.
        StorageError: the storage failed after its retries.
    """
    runs = list_runs(destination.url)
    by_source = defaultdict(list)
    for listed in runs:
        by_source[listed.run.settings.source].append(listed)
    outcome, known = Outcome(), set()
    for url, its in by_source.items():
        outputs = _outputs(its, lambda done: done.execute(_GIVEN, {"keys": sorted(keys)}).fetchall())
        if outputs:
            known |= {output.key for output in outputs}
            source = open_store(url, option="--source")
            source.check()
            _remove(destination, source, its, outputs, "forget", len(runs), outcome, dry_run=dry_run)
    if unknown := sorted(set(keys) - known):
        shown = ", ".join(map(repr, unknown[:5]))
        raise UserError(
            "key-unknown",
            f"{shown}: no run at {destination.url} has had {'such inputs' if unknown[1:] else 'such an input'}; "
            "keys are those below the source",
        )
    return outcome


def mirror_deletions(job: EditJob, *, dry_run: bool = False) -> Outcome:
    """Remove the outputs of all inputs that the source no longer has, whatever edits of this source made them.

    The caller holds the lease of the destination, unless it is a dry run.

    Raises:
        UserError: the source is empty, or more than ``mirror_max_share`` of its outputs would be removed.
        StorageError: the storage failed after its retries.
    """
    settings, source, destination = job.settings, job.source, job.destination
    runs = list_runs(destination.url)
    its = [listed for listed in runs if listed.run.settings.source == settings.source]
    outcome, there = Outcome(), 0
    if not its:
        return outcome
    with tempfile.TemporaryDirectory(prefix="attgan-mirror-") as folder:
        present = f"{folder}/present.parquet"
        if not _write_keys(source, present):
            raise UserError(
                "source-empty",
                f"--source {settings.source}: is empty, and --mirror-deletions would remove all outputs",
            )

        def ask(done: DuckDBPyConnection) -> Found:
            nonlocal there
            done.read_parquet(present).create_view("present")
            ((count,),) = done.execute(
                "SELECT count(output_etag) FROM done WHERE etag IS NOT NULL"
            ).fetchall()
            # Several lineages may have the same outputs, so their sum would be too many.
            there = max(there, count)
            return done.execute(_WITHOUT_SOURCE).fetchall()

        outputs = _outputs(its, ask)
    if len(outputs) > settings.mirror_max_share * there:
        raise UserError(
            "mirror-share-exceeded",
            f"--mirror-deletions: {len(outputs):,} of {there:,} outputs have no image in --source {settings.source}, "
            f"more than --mirror-max-share {settings.mirror_max_share:g}; nothing was removed",
        )
    _remove(destination, source, its, outputs, "its source was deleted", len(runs), outcome, dry_run=dry_run)
    return outcome


def _write_keys(source: Store, path: str) -> int:
    """Write all keys of a source to a Parquet file; returns their number."""
    schema, count = pa.schema([("key", pa.string())]), 0
    listing = source.list(passed_over=lambda key, why: None)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while keys := [info.key for info in islice(listing, _PART)]:
            writer.write_table(pa.table({"key": keys}, schema=schema))
            count += len(keys)
    return count


def _outputs(runs: Sequence[ListedRun], ask: Callable[[DuckDBPyConnection], Found]) -> list[Output]:
    """The outputs of all lineages of a source for the keys that ``ask`` finds among what is done."""
    claims: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for lineage in dict.fromkeys(listed.run.lineage for listed in runs):
        its = [listed for listed in runs if listed.run.lineage == lineage]
        settings = its[0].run.settings
        state = open_store(join(settings.destination, STATE, lineage), option="--destination")
        with open_done(state, its, may_write=False) as done:
            for key, etag in ask(done):
                claims[key, output_key(key, settings.format)].append(Claim(lineage, etag))
    fingerprints = frozenset(listed.run.fingerprint for listed in runs)
    return [Output(key, there, tuple(its), fingerprints) for (key, there), its in claims.items()]


def _remove(
    destination: Store,
    source: Store,
    runs: Sequence[ListedRun],
    outputs: Sequence[Output],
    why: str,
    count: int,
    outcome: Outcome,
    *,
    dry_run: bool,
) -> None:
    gone = []
    for output, exists in _with_sources(source, outputs):
        if exists:
            outcome.note(output, SOURCE_EXISTS)
        else:
            gone.append(output)
    if gone and not dry_run:
        # Before the outputs, since after them nothing would name the keys to a command that is repeated.
        outcome.pictures += remove_pictures(runs, {output.key for output in gone})
    written = 0 if dry_run else time_of_removal(destination, count)
    for output, fate in remove(destination, gone, why, written, dry_run=dry_run):
        outcome.note(output, fate)


def _with_sources(source: Store, outputs: Sequence[Output]) -> Iterator[tuple[Output, bool]]:
    """Each output, and whether its input is there. One that cannot be looked at counts as there."""

    def exists(output: Output) -> bool:
        try:
            source.head(output.key)
        except FileNotFoundError:
            return False
        except (AccessDenied, ObjectRefused):
            return True
        return True

    with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as pool:
        yield from zip(outputs, pool.map(exists, outputs), strict=True)
