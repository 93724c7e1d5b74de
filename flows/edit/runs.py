"""The runs of a lineage at a destination, as one listing of ``_runs/`` shows them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from attgan.errors import UserError
from flows.edit.ledger import LEDGER
from flows.edit.run import REPORT, RUNS, hash_of, read_run
from flows.settings import EditSettings
from flows.storage import Store, join, open_store

_NUMBERED = re.compile(r"([0-9a-f]{16})-\d{4,}")


@dataclass
class RunFiles:
    """What the listing shows of a run.

    Attributes:
        runs: the folder of all runs. One store for all of them is one connection.
        run_id: the folder in it.
        begun: when ``run.json`` was written, by the store's clock; None if the run has not begun.
        is_reported: whether it has its report, which marks it as finished.
        ledgers: when each ledger was written, by its key in ``runs``. They include those of retries.
    """

    runs: Store
    run_id: str
    begun: datetime | None = None
    is_reported: bool = False
    ledgers: dict[str, datetime] = field(default_factory=dict)

    def failed(self) -> int:
        """How many inputs of a finished run failed, and are left to ``--retry-failed``.

        None of a run that was closed as it stood: the next run planned them again.
        """
        report = json.loads(self.runs.get(f"{self.run_id}/{REPORT}").data)
        failed: int = report["counts"]["failed"]
        return 0 if "planned_anew" in report else failed


def list_runs(destination: str, lineage: str) -> list[RunFiles]:
    """The runs of a lineage, in the order in which they began.

    A damaged run, or one of a later version, belongs to no lineage.

    Raises:
        StorageError: the storage failed after its retries.
    """
    store = open_store(join(destination, RUNS), option="--destination")
    runs: dict[str, RunFiles] = {}
    for info in store.list():
        run_id, _, key = info.key.partition("/")
        run = runs.setdefault(run_id, RunFiles(store, run_id))
        if key == "run.json":
            run.begun = info.modified
        elif key == REPORT:
            run.is_reported = True
        elif LEDGER.fullmatch(key):
            run.ledgers[info.key] = info.modified
    begun = sorted((run.begun, run.run_id) for run in runs.values() if run.begun is not None)
    lineages: dict[str, str | None] = {}
    found = []
    for _, run_id in begun:
        # The name of numbered runs is a hash over their lineage, so a year of nightly runs is one request.
        numbered = _NUMBERED.fullmatch(run_id)
        name = numbered[1] if numbered else run_id
        if lineages.get(name) is None:
            lineages[name] = _lineage_of(store, run_id)
        if lineages[name] == lineage:
            found.append(runs[run_id])
    return found


def choose_run_id(settings: EditSettings, lineage: str, fingerprint: str, runs: Iterable[RunFiles]) -> str:
    """The id from the settings; else that of the unfinished run with these settings, or the next in their sequence.

    Args:
        settings: of the command.
        lineage: of the run.
        fingerprint: of the run.
        runs: all of the lineage.
    """
    if settings.run_id:
        return settings.run_id
    name = hash_of([lineage, fingerprint, settings.limit, settings.redo])
    finished = sum(run.is_reported and run.run_id.startswith(f"{name}-") for run in runs)
    return f"{name}-{finished + 1:04d}"


def _lineage_of(store: Store, run_id: str) -> str | None:
    with contextlib.suppress(UserError):
        run = read_run(store, run_id)
        return run.lineage if run is not None else None
    return None
