"""The command that removes the outputs of deleted images, and what commands print that remove outputs."""

from __future__ import annotations

import logging

from flows.edit import lease
from flows.edit.removal.deleted_sources import forget
from flows.edit.removal.outputs import NAMED, Outcome
from flows.runtime.terminal import print_line, print_rows
from flows.settings import ForgetSettings
from flows.storage import open_store


def forget_keys(settings: ForgetSettings) -> Outcome:
    """Remove the outputs of deleted images: see :func:`flows.edit.removal.deleted_sources.forget`.

    Raises:
        UserError: no run has had such an input, or a run is at work there.
        StorageError: the storage failed after its retries.
    """
    destination = open_store(settings.destination, option="--destination")
    destination.check(write=not settings.dry_run)
    if settings.dry_run:
        return forget(destination, settings.keys, dry_run=True)
    with lease.held(destination, logging.getLogger(__name__)):
        return forget(destination, settings.keys)


def show(what: str, outcome: Outcome, *, dry_run: bool, with_removed: bool = False) -> None:
    """Print how many outputs were removed, and which were left alone and why; as wished which were removed, too."""
    if rows := outcome.rows(with_removed=with_removed, dry_run=dry_run):
        print_rows("Outputs", rows)
    if max(len(outcome.left), with_removed * len(outcome.removed)) == NAMED:
        print_line(f"the table names the first {NAMED:,} of a kind")
    print_line(f"{what}: {outcome.one_line(dry_run=dry_run)}")
