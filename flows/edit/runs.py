"""The runs of a lineage at a destination, as one listing of ``_runs/`` shows them."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from attgan.errors import UserError
from flows.edit.ledger import LEDGER
from flows.edit.run import REPORT, RUNS, EditRun, read_run
from flows.storage import Store, join, open_store

# Runs that are read at a time.
_PARALLEL = 16


@dataclass(frozen=True)
class ListedRun:
    """A run that has begun.

    Attributes:
        run: from its ``run.json``.
        runs: the folder of all runs. One store for all of them is one connection.
        is_finished: whether it has its report.
        ledgers: when each ledger was written, by its key in ``runs``: in microseconds, distinct for each run. They
            include the ledgers of retries, and those that retries have replaced.
    """

    run: EditRun
    runs: Store
    is_finished: bool
    ledgers: dict[str, int]

    def failed(self) -> int:
        """How many inputs of a finished run failed, and are left to ``--retry-failed``.

        None of a run that was closed as it stood: the next run planned them again.
        """
        report = json.loads(self.runs.get(f"{self.run.run_id}/{REPORT}").data)
        failed: int = report["counts"]["failed"]
        return 0 if "planned_anew" in report else failed


def list_runs(destination: str, lineage: str) -> list[ListedRun]:
    """The runs of a lineage, in the order in which they began.

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

    begun = sorted((files["run.json"], run_id) for run_id, files in written.items() if "run.json" in files)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        runs = list(pool.map(read, (run_id for _, run_id in begun)))
    found = []
    for order, ((_, run_id), run) in enumerate(zip(begun, runs, strict=True)):
        if run is not None and run.lineage == lineage:
            # S3 gives whole seconds: within one, the run that began later counts as later.
            ledgers = {
                f"{run_id}/{key}": int(modified.timestamp() * 1e6) + order
                for key, modified in written[run_id].items()
                if LEDGER.fullmatch(key)
            }
            found.append(ListedRun(run, store, REPORT in written[run_id], ledgers))
    return found
