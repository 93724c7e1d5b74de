"""Undo an edit run: remove exactly the outputs that it wrote, so that its images are planned again.

An output that another run records too, or that was changed or replaced since, stays, and so does its row in what is
done. All other rows of the run no longer count, those of skipped and failed images included. The ledgers themselves do
not change (:mod:`flows.edit.removal.removed`). An unfinished run is closed first, so nothing resumes it.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from attgan.data.column_reader import read_table
from attgan.errors import UserError
from flows.edit import lease
from flows.edit.ledger import finished_shards, read_rows, read_summaries
from flows.edit.naming import output_key
from flows.edit.plan.closing import UnfinishedRun
from flows.edit.plan.runs import ListedRun, list_runs
from flows.edit.plan.shard_plans import read_shard
from flows.edit.removal.outputs import REMOVED, Claim, Outcome, Output, remove, summed
from flows.edit.removal.removed import Removed, time_of_removal, write_removed
from flows.edit.report.finished_runs import find_run
from flows.edit.run import EditRun, read_report, write_report
from flows.settings import UndoSettings
from flows.storage import Store, open_store

_COLUMNS = ["key", "output_key", "status", "output_etag"]
# Of DuckDB alone.
_MEMORY = "100MB"

# The ETags that other runs record for some output keys.
Elsewhere = Callable[[Sequence[str]], dict[str, list[str]]]


def undo(settings: UndoSettings) -> tuple[EditRun, Outcome]:
    """Remove what a run wrote. If it is interrupted, it can be repeated.

    Returns:
        The run, and what became of its outputs.

    Raises:
        UserError: there is no such run, it is a copy of a run of another place, or a run is at work there.
        StorageError: the storage failed after its retries.
    """
    run, store = find_run(settings.run)
    if store.url != open_store(run.url).url:
        raise UserError(
            "run-elsewhere", f"--run {store.url}: is a copy; the run wrote to {run.settings.destination}"
        )
    destination = open_store(run.settings.destination, option="--destination")
    if settings.dry_run:
        return run, _undo(run, store, destination, dry_run=True)
    with lease.held(destination, logging.getLogger(__name__)):
        return run, _undo(run, store, destination, dry_run=False)


def _undo(run: EditRun, store: Store, destination: Store, *, dry_run: bool) -> Outcome:
    runs = list_runs(destination.url)
    others = [listed for listed in runs if listed.run.run_id != run.run_id and not listed.is_undone()]
    (listed,) = (listed for listed in runs if listed.run.run_id == run.run_id)
    finished = finished_shards(store)
    written = 0 if dry_run else time_of_removal(destination, len(runs))
    if not dry_run:
        if not listed.is_finished:
            summaries = read_summaries(store, finished.values())
            UnfinishedRun(run, store, summaries, "").close()
        _uncount_others(listed, run, store, finished)
    with _elsewhere(others) as elsewhere:
        outputs = _outputs(run, store, finished, elsewhere)
        outcome = summed(remove(destination, outputs, f"undo {run.run_id}", written, dry_run=dry_run))
    if not dry_run:
        report = read_report(store)
        report["undone"] = report.get("undone", 0) + outcome.counts[REMOVED]
        write_report(store, report)
    return outcome


def _uncount_others(listed: ListedRun, run: EditRun, store: Store, finished: dict[int, str]) -> None:
    """Record that the run's skipped and failed images are not done, unless a later run has them, too."""
    for key in finished.values():
        # Just after the ledger, so that the rows of later ledgers count.
        written = listed.ledgers[f"{run.run_id}/{key}"] + 1
        without = [
            Removed(run.lineage, row["key"], None, None, written, f"undo {run.run_id}")
            for row in read_rows(store, key).select(_COLUMNS).to_pylist()
            if row["output_etag"] is None
        ]
        if without:
            write_removed(listed.runs, without)


def _outputs(run: EditRun, store: Store, finished: dict[int, str], elsewhere: Elsewhere) -> Iterator[Output]:
    """The outputs of a run, a shard at a time: those of its ledgers, and what it may have written without one."""
    fingerprints = frozenset([run.fingerprint])
    for shard in range(run.shards):
        if shard in finished:
            rows = read_rows(store, finished[shard]).select(_COLUMNS).to_pylist()
            found = [
                (row["key"], row["output_key"], row["output_etag"], None)
                for row in rows
                if row["output_etag"] is not None
            ]
        else:
            found = [
                (row["key"], output_key(row["key"], run.settings.format), None, row["etag"])
                for row in read_shard(store, run, shard)
            ]
        others = elsewhere([there for _, there, _, _ in found])
        for key, there, etag, source_etag in found:
            claims = (Claim(run.lineage, etag),)
            yield Output(key, there, claims, fingerprints, others.get(there, ()), source_etag)


@contextlib.contextmanager
def _elsewhere(others: Sequence[ListedRun]) -> Iterator[Elsewhere]:
    """A function that looks up what the ledgers of other runs record. They are copied into a temporary folder."""
    # Imported here because most commands do without it.
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="attgan-undo-") as folder,
        duckdb.connect(
            f"{folder}/outputs.duckdb",
            config={"memory_limit": _MEMORY, "temp_directory": folder, "threads": 1},
        ) as connection,
    ):
        connection.execute("CREATE TABLE outputs (output_key VARCHAR, output_etag VARCHAR)")
        for listed in others:
            for key in listed.ledgers:
                found = read_table(pa.BufferReader(listed.runs.get(key).data), ["output_key", "output_etag"])
                connection.register("found", found)
                connection.execute("INSERT INTO outputs FROM found WHERE output_etag IS NOT NULL")

        def look_up(output_keys: Sequence[str]) -> dict[str, list[str]]:
            connection.register("asked", pa.table({"output_key": list(output_keys)}))
            query = "SELECT output_key, list(output_etag) FROM outputs SEMI JOIN asked USING (output_key) GROUP BY ALL"
            return dict(connection.execute(query).fetchall())

        yield look_up
