"""Remove outputs of runs, but none that a run did not write, or that has changed since.

On S3 an output is ours if it has the ETag that a ledger records and the fingerprint of a run in its metadata. Where no
ledger records an ETag, the fingerprint decides. A disk keeps no metadata: there the ETag decides, which has the
modification time to the nanosecond. Stores cannot compare an ETag while they delete, so the object is looked at just
before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote

from flows.edit.removal.removed import Removed, write_removed
from flows.edit.run import FINGERPRINT, RUNS, SOURCE_ETAG
from flows.storage import ObjectInfo, ObjectRefused, Store, denials, join, open_store, parse_url

# Outputs of one record.
_BATCH = 2000
_REQUESTS_IN_FLIGHT = 32
# Outputs that an outcome names.
NAMED = 1000

REMOVED, GONE = "removed", "already gone"
CHANGED = "changed since"
REPLACED = "replaced by another run"
SHARED = "the result of another run, too"
UNPROVEN = "without a proof of who wrote it"


class Claim(NamedTuple):
    """That a lineage has an output under a key. ``etag`` is None where no ledger records one."""

    lineage: str
    etag: str | None


@dataclass(frozen=True)
class Output:
    """An output to remove.

    Attributes:
        key: the input's.
        output_key: the output's.
        claims: of the lineages that have it.
        fingerprints: of the runs that may have written it.
        elsewhere: ETags of outputs under this key that other runs have, which are to stay.
        unrecorded: the ETag of the source where the run has no ledger yet. Then only the object's metadata can tell.
    """

    key: str
    output_key: str
    claims: tuple[Claim, ...]
    fingerprints: frozenset[str]
    elsewhere: Collection[str] = ()
    unrecorded: str | None = None


@dataclass
class Outcome:
    """What became of the outputs.

    Attributes:
        counts: of outputs, by what became of them.
        removed: the first outputs that were removed, by key.
        left: the first outputs that were left alone, and why.
        pictures: URLs of pictures and pages that went with them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    removed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)

    def one_line(self, *, dry_run: bool = False) -> str:
        """The counts on one line."""
        words = {REMOVED: _removed(dry_run), GONE: GONE}
        ended = [f"{self.counts[fate]:,} {word}" for fate, word in words.items() if self.counts[fate]]
        left = [(why, count) for why, count in self.counts.most_common() if why not in (REMOVED, GONE)]
        return ", ".join([*ended, *(f"{count:,} left alone ({why})" for why, count in left)]) or "no outputs"

    def rows(self, *, with_removed: bool = True, dry_run: bool = False) -> list[dict[str, str]]:
        """The rows of a table: what was removed, and what was left alone and why."""
        names = [*self.removed, *self.pictures] if with_removed else []
        removed = [{"output": name, "outcome": _removed(dry_run)} for name in names]
        return removed + [
            {"output": name, "outcome": f"left alone: {why}"} for name, why in self.left.items()
        ]

    def note(self, output: Output, fate: str) -> None:
        """Count an output, and name it if it is one of the first."""
        self.counts[fate] += 1
        if fate == REMOVED and len(self.removed) < NAMED:
            self.removed.append(output.output_key)
        elif fate not in (REMOVED, GONE) and len(self.left) < NAMED:
            self.left[output.output_key] = fate


def _removed(dry_run: bool) -> str:
    return f"to be {REMOVED}" if dry_run else REMOVED


def remove(
    destination: Store,
    outputs: Iterable[Output],
    why: str,
    written: int,
    *,
    check_stop: Callable[[], None] = lambda: None,
    dry_run: bool = False,
) -> Iterator[tuple[Output, str]]:
    """Remove outputs, and record that their keys are no longer done. If it is interrupted, it can be repeated.

    Args:
        destination: whose lease the caller holds, unless it is a dry run.
        outputs: to remove, read lazily.
        why: for the record.
        written: from :func:`flows.edit.removal.removed.time_of_removal`.
        check_stop: called before each batch. What it raises ends the removal.
        dry_run: whether to look only.

    Yields:
        Each output and what became of it, after that has happened. One that is not there and was perhaps never written
        is left out.

    Raises:
        StorageError: the storage failed after its retries.
    """
    runs = open_store(join(destination.url, RUNS), option="--destination")
    todo = iter(outputs)
    with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as pool:
        while batch := list(islice(todo, _BATCH)):
            check_stop()
            fates = list(pool.map(partial(_fate, destination), batch))
            found = [(output, fate) for output, fate in zip(batch, fates, strict=True) if fate is not None]
            if not dry_run:
                if ours := [output for output, fate in found if fate == REMOVED]:
                    write_removed(runs, _rows(ours, why, written, keep_etag=True))
                    list(pool.map(lambda output: destination.delete(output.output_key), ours))
                if away := [output for output, fate in found if fate in (REMOVED, GONE)]:
                    write_removed(runs, _rows(away, why, written + 1, keep_etag=False))
            yield from found


def summed(fates: Iterable[tuple[Output, str]]) -> Outcome:
    """Count what :func:`remove` yields."""
    outcome = Outcome()
    for output, fate in fates:
        outcome.note(output, fate)
    return outcome


def _rows(outputs: Iterable[Output], why: str, written: int, *, keep_etag: bool) -> list[Removed]:
    return [
        Removed(claim.lineage, output.key, output.output_key, claim.etag if keep_etag else None, written, why)
        for output in outputs
        for claim in output.claims
    ]


def _fate(destination: Store, output: Output) -> str | None:
    """What is to become of an output; None for one that was perhaps never written, and is not there."""
    try:
        there = denials.head(destination, output.output_key)
    except FileNotFoundError:
        return GONE if output.unrecorded is None else None
    except ObjectRefused as refused:
        return str(refused)
    return _why_left(there, output, has_metadata=parse_url(destination.url).bucket is not None) or REMOVED


def _why_left(there: ObjectInfo, output: Output, *, has_metadata: bool) -> str | None:
    writer = there.metadata.get(FINGERPRINT)
    recorded = {claim.etag for claim in output.claims if claim.etag is not None}
    if output.unrecorded is not None:
        its = quote(output.unrecorded.strip('"'), safe="-")
        if writer not in output.fingerprints or there.metadata.get(SOURCE_ETAG) != its:
            return UNPROVEN if writer is None else REPLACED
    elif not recorded:
        # The run skipped or failed its image. Its worker may have died just after it had written the output.
        if writer not in output.fingerprints and there.etag not in output.elsewhere:
            return UNPROVEN
    elif there.etag not in recorded:
        return REPLACED if writer is not None or there.etag in output.elsewhere else CHANGED
    elif has_metadata and writer not in output.fingerprints:
        return CHANGED if writer is None else REPLACED
    return SHARED if there.etag in output.elsewhere else None
