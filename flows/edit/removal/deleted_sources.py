"""Remove the outputs of inputs that the source no longer has: of given keys, or of all that are gone."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
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
# What lineages have of an input, by its key and its output's.
Claims = dict[tuple[str, str], list[Claim]]

_GIVEN = "SELECT key, output_etag FROM done SEMI JOIN given USING (key)"
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
        UserError: no run there has had such an input, or a source is missing. Then nothing is removed.
        StorageError: the storage failed after its retries.
    """
    runs = list_runs(destination.url)
    claims = _given_claims(runs, keys)
    if unknown := sorted(set(keys) - {key for key, _ in claims}):
        shown = ", ".join(map(repr, unknown[:5]))
        raise UserError(
            "key-unknown",
            f"{shown}: no run at {destination.url} has had {'such inputs' if unknown[1:] else 'such an input'}; "
            "keys are those below the source",
        )
    for url in _keys_by_source(runs, claims):
        open_store(url, option="--source").check()
    return _remove(destination, runs, claims, "forget", dry_run=dry_run)


def mirror_deletions(
    job: EditJob, check_stop: Callable[[], None] = lambda: None, *, dry_run: bool = False
) -> Outcome:
    """Remove the outputs of all inputs that the source no longer has, whatever edits of this source made them.

    Args:
        job: at a destination whose lease the caller holds, unless it is a dry run.
        check_stop: called from time to time. What it raises ends the removal.
        dry_run: whether to look only.

    Raises:
        UserError: the source is empty, or more than ``mirror_max_share`` of its outputs would be removed.
        StorageError: the storage failed after its retries.
    """
    settings, source, destination = job.settings, job.source, job.destination
    runs = list_runs(destination.url)
    its = [listed for listed in runs if listed.run.settings.source == settings.source]
    if not its:
        return Outcome()
    # Outputs by their format: several lineages of one format may have the same ones, so their sum would be too many.
    there: dict[str, int] = defaultdict(int)
    with tempfile.TemporaryDirectory(prefix="attgan-mirror-") as folder:
        present = f"{folder}/present.parquet"
        if not _write_keys(source, present, check_stop):
            raise UserError(
                "source-empty",
                f"--source {settings.source}: is empty, and --mirror-deletions would remove all outputs",
            )

        def ask(done: DuckDBPyConnection, format: str) -> Found:
            done.read_parquet(present).create_view("present")
            ((count,),) = done.execute(
                "SELECT count(output_etag) FROM done WHERE etag IS NOT NULL"
            ).fetchall()
            there[format] = max(there[format], count)
            return done.execute(_WITHOUT_SOURCE).fetchall()

        claims = _claims(its, ask)
    if not claims:
        return Outcome()
    if len(claims) > settings.mirror_max_share * (total := sum(there.values())):
        raise UserError(
            "mirror-share-exceeded",
            f"--mirror-deletions: {len(claims):,} of {total:,} outputs have no image in --source {settings.source}, "
            f"more than --mirror-max-share {settings.mirror_max_share:g}; nothing was removed",
        )
    others = [listed for listed in runs if listed.run.settings.source != settings.source]
    for place, claimed in _given_claims(others, {key for key, _ in claims}).items():
        if place in claims:
            claims[place] += claimed
    return _remove(destination, runs, claims, "its source was deleted", check_stop, dry_run=dry_run)


def _write_keys(source: Store, path: str, check_stop: Callable[[], None]) -> int:
    """Write all keys of a source to a Parquet file; returns their number."""
    schema, count = pa.schema([("key", pa.string())]), 0
    listing = source.list(passed_over=lambda key, why: None)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while keys := [info.key for info in islice(listing, _PART)]:
            writer.write_table(pa.table({"key": keys}, schema=schema))
            count += len(keys)
            check_stop()
    return count


def _given_claims(runs: Sequence[ListedRun], keys: Collection[str]) -> Claims:
    """What all lineages of some runs have of these inputs."""

    def ask(done: DuckDBPyConnection, format: str) -> Found:
        done.register("given", pa.table({"key": pa.array(keys, pa.string())}))
        return done.execute(_GIVEN).fetchall()

    return _claims(runs, ask)


def _claims(runs: Sequence[ListedRun], ask: Callable[[DuckDBPyConnection, str], Found]) -> Claims:
    """What all lineages of some runs have of the keys that ``ask`` finds among what is done in an output format."""
    claims: Claims = defaultdict(list)
    for lineage in dict.fromkeys(listed.run.lineage for listed in runs):
        its = [listed for listed in runs if listed.run.lineage == lineage]
        settings = its[0].run.settings
        state = open_store(join(settings.destination, STATE, lineage), option="--destination")
        with open_done(state, its, may_write=False) as done:
            for key, etag in ask(done, settings.format):
                claims[key, output_key(key, settings.format)].append(Claim(lineage, etag))
    return claims


def _keys_by_source(runs: Sequence[ListedRun], claims: Claims) -> dict[str, set[str]]:
    """The inputs of claims by the URL of their source."""
    sources = {listed.run.lineage: listed.run.settings.source for listed in runs}
    keys = defaultdict(set)
    for (key, _), its in claims.items():
        for claim in its:
            keys[sources[claim.lineage]].add(key)
    return keys


def _remove(
    destination: Store,
    runs: Sequence[ListedRun],
    claims: Claims,
    why: str,
    check_stop: Callable[[], None] = lambda: None,
    *,
    dry_run: bool,
) -> Outcome:
    """Remove outputs, but none that a source still has which records it.

    Which source has what is found out before anything is removed.
    """
    deleted = {url: keys - _present(url, keys) for url, keys in _keys_by_source(runs, claims).items()}
    lost_by = {listed.run.lineage: deleted.get(listed.run.settings.source, set()) for listed in runs}
    fingerprints = frozenset(listed.run.fingerprint for listed in runs)
    outcome, gone = Outcome(), []
    for (key, there), its in claims.items():
        lost = tuple(claim for claim in its if key in lost_by[claim.lineage])
        kept = {claim.etag for claim in its if claim not in lost and claim.etag is not None}
        output = Output(key, there, lost, fingerprints, kept)
        if lost:
            gone.append(output)
        else:
            outcome.note(output, SOURCE_EXISTS)
    if not dry_run:
        # Before the outputs, since after them nothing would name the keys to a command that is repeated.
        for listed in runs:
            if deleted_keys := lost_by[listed.run.lineage]:
                outcome.pictures += remove_pictures(listed, deleted_keys)
    written = 0 if dry_run else time_of_removal(destination, len(runs))
    for output, fate in remove(destination, gone, why, written, check_stop=check_stop, dry_run=dry_run):
        outcome.note(output, fate)
    return outcome


def _present(url: str, keys: Collection[str]) -> set[str]:
    """Those of some keys that a source has. A key, or a whole place, that cannot be looked at counts as there."""
    source = open_store(url, option="--source")
    try:
        source.check()
    except UserError:
        return set(keys)

    def exists(key: str) -> bool:
        try:
            source.head(key)
        except FileNotFoundError:
            return False
        except (AccessDenied, ObjectRefused):
            return True
        return True

    with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as pool:
        return {key for key, there in zip(keys, pool.map(exists, keys), strict=True) if there}
