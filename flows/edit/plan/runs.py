"""The runs of a lineage at a destination, as one listing of ``_runs/`` shows them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from attgan.errors import UserError
from flows.edit.ledger import LEDGER
from flows.edit.run import REPORT, RUN_FILE, RUNS, EditRun, read_report, read_run
from flows.storage import Store, join, open_store
from flows.words import counted

# Runs that are read at a time.
_PARALLEL = 16


@dataclass(frozen=True)
class ListedRun:
    """A run that has begun.

    Attributes:
        run: from its ``run.json``.
        began: when that was written, by the storage's clock.
        runs: the folder of all runs. One store for all of them is one connection.
        is_finished: whether it has its report.
        ledgers: when each ledger was written, by its key in ``runs``: in microseconds, distinct for each run. They
            include the ledgers of retries, and those that retries have replaced.
    """

    run: EditRun
    began: datetime
    runs: Store
    is_finished: bool
    ledgers: dict[str, int]

    def failed(self) -> int:
        """How many inputs of a finished run failed, and are left to ``--retry-failed``.

        None of a run that was closed as it stood, or undone: the next run plans them again.
        """
        report = read_report(self.runs, self.run.run_id)
        failed: int = report["counts"]["failed"]
        return 0 if "planned_anew" in report or "undone" in report else failed

    def is_undone(self) -> bool:
        """Whether ``attgan undo`` has removed what the run wrote."""
        return self.is_finished and "undone" in read_report(self.runs, self.run.run_id)


def list_runs(destination: str, lineage: str | None = None) -> list[ListedRun]:
    """The runs of a lineage, or all runs, in the order in which they began.

    A damaged run, or one of a later version, belongs to no lineage.

    Raises:
        StorageError: the storage failed after its retries.
    """
    store = open_store(join(destination, RUNS), option="--destination")
    written: dict[str, dict[str, datetime]] = defaultdict(dict)
    for info in store.list():
        run_id, _, key = info.key.partition("/")
        written[run_id][key] = info.modified

    def read(run_id: str) -> EditRun | None:
        with contextlib.suppress(UserError):
            return read_run(store, run_id)
        return None

    begun = sorted((files[RUN_FILE], run_id) for run_id, files in written.items() if RUN_FILE in files)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        runs = list(pool.map(read, (run_id for _, run_id in begun)))
    found = []
    for order, ((began, run_id), run) in enumerate(zip(begun, runs, strict=True)):
        if run is not None and lineage in (None, run.lineage):
            # S3 gives whole seconds: within one, the run that began later counts as later.
            ledgers = {
                f"{run_id}/{key}": int(modified.timestamp() * 1e6) + order
                for key, modified in written[run_id].items()
                if LEDGER.fullmatch(key)
            }
            found.append(ListedRun(run, began, store, REPORT in written[run_id], ledgers))
    return found


def show_runs(destination: str) -> list[dict[str, str]]:
    """All edit runs at a destination as rows of a table, the newest last.

    Raises:
        UserError: nothing ran there.
        StorageError: the storage failed after its retries.
    """
    store = open_store(destination, option="DESTINATION")
    store.check()
    runs = list_runs(destination)
    if not runs:
        raise UserError("run-missing", f"{destination}: no edit has run there")
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(_row, runs))


def _row(listed: ListedRun) -> dict[str, str]:
    run = listed.run
    report = read_report(listed.runs, run.run_id) if listed.is_finished else {"counts": {}}
    done = [f"{count:,} {status}" for status, count in report["counts"].items() if count]
    if "undone" in report:
        done.append(f"undone ({counted(report['undone'], 'output')} removed)")
    return {
        "run": run.run_id,
        "began": f"{listed.began:%Y-%m-%d %H:%M} UTC",
        "images": f"{run.inputs:,}",
        "outcome": ", ".join(done)
        or f"unfinished: {len(listed.ledgers):,} of {counted(run.shards, 'shard')} done",
        "edits": run.edits_text,
        "source": run.settings.source,
    }
