"""Remove old files of edit runs that neither planning, nor a retry, nor undo needs.

In the folder of a finished run these are its pictures, the list of keys that were no inputs, and the plan of each shard
that has a ledger, unless images have failed, which `--retry-failed` finds in the plan. Of a run that has not begun,
since its command died while it planned, they are all files. Ledgers, reports and records of removed outputs stay.
"""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from attgan.errors import UserError
from flows.edit import lease
from flows.edit.ledger import LEDGER
from flows.edit.plan.runs import ListedRun, list_runs
from flows.edit.run import PICTURE, PREVIEW, RUN_FILE, RUNS
from flows.settings import PruneSettings, seconds_of
from flows.storage import ObjectInfo, join, open_store

_REQUESTS_IN_FLIGHT = 32
_PICTURES = (PICTURE, PREVIEW)


def prune(settings: PruneSettings) -> list[dict[str, str]]:
    """Remove the files that are old enough. If it is interrupted, it can be repeated.

    Returns:
        A row for each run of which files are removed, and one with the sums: ``run``, ``files``, ``MB``.

    Raises:
        UserError: there is nothing of ours, or a run is at work there.
        StorageError: the storage failed after its retries.
    """
    destination = open_store(settings.destination, option="--destination")
    destination.check(write=not settings.dry_run)
    with contextlib.ExitStack() as stack:
        if not settings.dry_run:
            stack.enter_context(lease.held(destination, logging.getLogger(__name__)))
        found = _old_files(settings)
        if not settings.dry_run:
            runs = open_store(join(settings.destination, RUNS), option="--destination")
            with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as pool:
                list(pool.map(runs.delete, [info.key for files in found.values() for info in files]))
    every = [info for files in found.values() for info in files]
    return [_row(run, files) for run, files in found.items()] + [_row("total", every)]


def _row(run: str, files: list[ObjectInfo]) -> dict[str, str]:
    size = sum(info.size for info in files)
    return {"run": run, "files": f"{len(files):,}", "MB": f"{size / 1e6:,.1f}"}


def _old_files(settings: PruneSettings) -> dict[str, list[ObjectInfo]]:
    """The files to remove, by run."""
    begun = {listed.run.run_id: listed for listed in list_runs(settings.destination)}
    files: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in open_store(join(settings.destination, RUNS), option="--destination").list():
        run, slash, _ = info.key.partition("/")
        if slash:
            files[run].append(info)
    if not files:
        raise UserError("run-missing", f"{settings.destination}: no edit has run there")
    newest = datetime.now(UTC) - timedelta(seconds=seconds_of(settings.older_than))
    found = {}
    for run, its in files.items():
        needless = _needless(begun.get(run), its)
        if old := [info for info in needless if info.modified <= newest]:
            found[run] = old
    return found


def _needless(listed: ListedRun | None, files: list[ObjectInfo]) -> list[ObjectInfo]:
    """The files of a run's folder that nothing needs. ``listed`` is None if it has not begun, or cannot be read."""
    by_key = {info.key.partition("/")[2]: info for info in files}
    if listed is None:
        begun = RUN_FILE in by_key
        return (
            [] if begun else [info for key, info in by_key.items() if key.startswith(("plan/", "ignored/"))]
        )
    if not listed.is_finished:
        return []
    done = {int(match[1]) for key in by_key if (match := LEDGER.fullmatch(key))}
    keeps_plan = listed.failed() > 0
    return [
        info
        for key, info in by_key.items()
        if key in _PICTURES
        or key.startswith("ignored/")
        or (key.startswith("plan/") and not keeps_plan and int(key[5:].partition(".")[0]) in done)
    ]
