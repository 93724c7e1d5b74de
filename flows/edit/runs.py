"""Which runs a destination has: one listing of ``_runs/``, and the lineage of each run."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from attgan.errors import UserError
from flows.edit.ledger import parse_ledger_key
from flows.edit.run import RUNS, read_run, run_url
from flows.storage import join, open_store

REPORT = "report.json"
_NUMBERED = re.compile(r"([0-9a-f]{16})-\d{4,}")


@dataclass
class RunFiles:
    """What the listing says about a run.

    Attributes:
        begun: when ``run.json`` was written, by the store's clock; None if the run has not begun.
        is_reported: whether it has its report, which marks it as finished.
        ledgers: when each ledger was written, by shard and generation.
    """

    run_id: str
    begun: datetime | None = None
    is_reported: bool = False
    ledgers: dict[tuple[int, int], datetime] = field(default_factory=dict)

    @property
    def generations(self) -> dict[int, int]:
        """The generation of the valid ledger of each finished shard, in the order of the shards."""
        return dict(sorted(self.ledgers))


def list_runs(destination: str) -> list[RunFiles]:
    """The runs that have begun, in the order in which they began."""
    runs: dict[str, RunFiles] = {}
    for info in open_store(join(destination, RUNS), option="--destination").list():
        run_id, _, key = info.key.partition("/")
        run = runs.setdefault(run_id, RunFiles(run_id))
        if key == "run.json":
            run.begun = info.modified
        elif key == REPORT:
            run.is_reported = True
        elif (ledger := parse_ledger_key(key)) is not None:
            run.ledgers[ledger] = info.modified
    begun = [(run.begun, run.run_id, run) for run in runs.values() if run.begun is not None]
    return [run for _, _, run in sorted(begun)]


def of_lineage(runs: Iterable[RunFiles], destination: str, lineage: str) -> list[RunFiles]:
    """The runs of a lineage. A damaged run, or one of a later version, belongs to none."""
    found = []
    known: dict[str, str | None] = {}
    for run in runs:
        # The name of numbered runs is a hash over their lineage, so a year of nightly runs is one request.
        numbered = _NUMBERED.fullmatch(run.run_id)
        name = numbered[1] if numbered else run.run_id
        if known.get(name) is None:
            known[name] = _lineage(destination, run.run_id)
        if known[name] == lineage:
            found.append(run)
    return found


def read_report(destination: str, run_id: str) -> dict[str, Any]:
    """Read the report of a finished run."""
    data = open_store(run_url(destination, run_id), option="--destination").get(REPORT).data
    found: dict[str, Any] = json.loads(data)
    return found


def was_closed(report: dict[str, Any]) -> bool:
    """Whether the run was closed as it stood, so that its failed images were planned again by the next run."""
    return "planned_anew" in report


def _lineage(destination: str, run_id: str) -> str | None:
    with contextlib.suppress(UserError):
        run = read_run(open_store(run_url(destination, run_id), option="--destination"))
        return run.lineage if run is not None else None
    return None
