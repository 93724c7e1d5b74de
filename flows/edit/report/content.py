"""The content of an edit run's report: counts that add up, and what they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attgan.editing.records import NO_FACE
from flows.edit.job import EditJob
from flows.edit.ledger import STAGES, STATUSES, Status, Summary, choose_sample, ledger_key
from flows.edit.plan.listing import NotPlanned
from flows.edit.run import EditRun
from flows.words import counted

FAILURES_LISTED = 200


class ConservationError(RuntimeError):
    """Inputs and ledger rows do not add up. This is a bug of the program, never a fault of the data."""


def build_report(
    run: EditRun,
    summaries: Sequence[Summary],
    wall: float,
    before: Sequence[Summary] = (),
    *,
    removed: Collection[str] = (),
    shards_wall: float = 0.0,
    workers: int = 0,
) -> dict[str, Any]:
    """The content of ``report.json``.

    Args:
        run: the run.
        summaries: one for each shard's ledger.
        wall: seconds that this command took.
        before: the summaries of the shards that an earlier command finished.
        removed: keys that the sample and the failures leave out.
        shards_wall: seconds of ``wall`` from the submission of the first shard to the end of the last one.
        workers: shards that the cluster could edit at a time, at the end.

    Raises:
        ConservationError: inputs ≠ edited + copied + skipped + failed.
    """
    counts = {status: sum(summary.counts[status] for summary in summaries) for status in STATUSES}
    if sum(counts.values()) != run.inputs or len(summaries) != run.shards:
        raise ConservationError(
            f"run {run.run_id}: {run.inputs} inputs in {run.shards} shards, but the ledgers of {len(summaries)} shards "
            f"have {counts}"
        )
    reasons: Counter[str] = Counter()
    for summary in summaries:
        reasons.update(summary.reasons)
    seconds = {stage: round(sum(s.seconds.get(stage, 0.0) for s in summaries), 3) for stage in STAGES}
    failures = [
        {"key": f.key, "stage": f.stage, "reason": f.reason, "ledger": ledger_key(s.shard, s.generation)}
        for s in sorted(summaries, key=lambda s: s.shard)
        for f in s.failures
        if f.key not in removed
    ]
    sources = dict(sum((Counter(s.attributes_from) for s in summaries), Counter()))
    return {
        "run_id": run.run_id,
        "url": run.url,
        "fingerprint": run.fingerprint,
        "made_of": run.made_of,
        "source": run.settings.source,
        "destination": run.settings.destination,
        "inputs": run.inputs,
        "counts": counts,
        "attributes_from": sources,
        "remarks": _remarks(run, counts, reasons, sources.get("unsure", 0)),
        "unchanged": run.unchanged,
        # Whether there are more images is only known to the run that lists them.
        "capped": run.settings.max_images if run.inputs == run.settings.max_images else None,
        "ignored": run.ignored,
        "reasons": dict(reasons.most_common(100)),
        "shards": run.shards,
        "shards_done_before": len(before),
        "shards_isolated": sum(summary.isolated for summary in summaries),
        "images_done_before": sum(summary.images for summary in before),
        "found": sum(summary.found for summary in summaries),
        "bytes_in": sum(summary.bytes_in for summary in summaries),
        "bytes_out": sum(summary.bytes_out for summary in summaries),
        "seconds": seconds,
        "wall": round(wall, 3),
        "shards_wall": round(shards_wall, 3),
        "worker_seconds": round(sum(summary.wall for summary in summaries), 3),
        "workers": workers,
        "nodes": len({summary.host.partition("/")[0] for summary in summaries}),
        "cpus_per_shard": run.settings.cpus_per_shard,
        "gpus_per_shard": run.settings.gpus_per_shard,
        "peak_mb": max((summary.peak_mb for summary in summaries), default=0),
        "slowest_shards": [
            {"shard": s.shard, "images": s.images, "seconds": s.wall, "worker": s.host}
            for s in sorted(summaries, key=lambda s: -s.wall)[:5]
        ],
        "failures": sorted(failures, key=lambda f: f["stage"] != "process")[:FAILURES_LISTED],
        "sample": choose_sample(
            image for summary in summaries for image in summary.sample if image.key not in removed
        ),
    }


def _remarks(
    run: EditRun, counts: Mapping[Status, int], reasons: Mapping[str, int], unsure: int
) -> list[str]:
    """What a user may not expect of a run that is green: lines, each with the option that changes it."""
    settings = run.settings
    unsure_copied = min(unsure, counts["copied"]) if settings.on_unsure == "copy" else 0
    found = {
        "copied unchanged, because the face already has the attributes (--on-present edit edits it)": (
            counts["copied"] - unsure_copied
        ),
        "copied unchanged, because the classifier is not sure that the face lacks the attributes "
        "(--on-unsure edit edits it)": unsure_copied,
        "edited, though the classifier is not sure that the face lacks the attributes (--on-unsure copy copies it)": (
            unsure if settings.on_unsure == "edit" else 0
        ),
        "skipped, because no face was found (--min-face, --min-confidence)": sum(
            count for reason, count in reasons.items() if reason.endswith(NO_FACE)
        ),
    }
    found |= {reason: count for reason, count in reasons.items() if not reason.endswith(NO_FACE)}
    return [
        f"{counted(count, 'image')} of {run.inputs:,} ({count / run.inputs:.0%}): {what}"
        for what, count in found.items()
        if run.inputs and count / run.inputs > settings.notice_share
    ]


def build_empty_report(job: EditJob, not_planned: NotPlanned) -> dict[str, Any]:
    """The report of a command that had nothing to do, and so began no run."""
    return {
        "run_id": None,
        "source": job.settings.source,
        "destination": job.settings.destination,
        "inputs": 0,
        "counts": dict.fromkeys(STATUSES, 0),
        "unchanged": not_planned.unchanged,
        "ignored": not_planned.ignored,
    }


def failed_share(summaries: Collection[Summary]) -> float:
    """Failed inputs as a share of all inputs of these shards."""
    images = sum(summary.images for summary in summaries)
    return sum(summary.counts["failed"] for summary in summaries) / max(images, 1)
