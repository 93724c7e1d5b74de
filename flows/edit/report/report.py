"""The report of an edit run: counts that add up, rates per stage, and a picture of some faces before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attgan.data import codec
from attgan.errors import DataError
from attgan.evaluation.plots.image_grids import before_after_grid, scaled
from flows.edit.job import EditJob
from flows.edit.ledger import (
    NO_FACE,
    STAGES,
    STATUSES,
    SampledImage,
    Status,
    Summary,
    choose_sample,
    ledger_key,
)
from flows.edit.plan.listing import NotPlanned
from flows.edit.run import EditRun
from flows.runtime.terminal import print_line, print_rows
from flows.storage import ObjectRefused, denials
from flows.words import counted

# Side of the pictures in the before/after grid, in pixels.
HEIGHT = 218
# Side of the cut-out square, as a multiple of the face's longer side.
_SQUARE_PER_FACE = 1.6
FAILURES_LISTED, FAILURES_PRINTED = 200, 10


class ConservationError(RuntimeError):
    """Inputs and ledger rows do not add up. This is a bug of the program, never a fault of the data."""


def build_report(
    run: EditRun, summaries: Sequence[Summary], wall: float, before: Sequence[Summary] = ()
) -> dict[str, Any]:
    """The content of ``report.json``.

    Args:
        run: the run.
        summaries: one for each shard's ledger.
        wall: seconds that this command took.
        before: the summaries of the shards that an earlier command finished.

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
        "peak_mb": max((summary.peak_mb for summary in summaries), default=0),
        "slowest_shards": [
            {"shard": s.shard, "images": s.images, "seconds": s.wall, "worker": s.host}
            for s in sorted(summaries, key=lambda s: -s.wall)[:5]
        ],
        "failures": sorted(failures, key=lambda f: f["stage"] != "process")[:FAILURES_LISTED],
        "sample": choose_sample(pair for summary in summaries for pair in summary.sample),
    }


def _remarks(
    run: EditRun, counts: Mapping[Status, int], reasons: Mapping[str, int], unsure: int
) -> list[str]:
    """What a user may not expect of a run that is green: lines, each with the option that changes it."""
    settings = run.settings
    found = {
        "copied unchanged, because the face has the attributes already (--on-present edit edits it, too)": counts[
            "copied"
        ],
        f"edited although the classifier could not decide (--on-unsure {settings.on_unsure})": unsure
        if settings.on_unsure == "edit"
        else 0,
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


def count_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of counts: one row per status, and their sum beside the inputs."""
    rows = [{"status": status, "images": f"{count:,}"} for status, count in report["counts"].items()]
    total = sum(report["counts"].values())
    rows.append({"status": "sum", "images": f"{total:,} (inputs: {report['inputs']:,})"})
    return rows


def stage_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of stages: busy seconds, and images per busy second."""
    images = report["counts"]["edited"]
    return [
        {"stage": stage, "busy seconds": f"{busy:,.1f}", "images/s": f"{images / busy:,.0f}" if busy else "–"}
        for stage, busy in report["seconds"].items()
    ]


def reason_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of images that were skipped, failed or not planned, by reason."""
    rows = [{"what": what, "images": f"{count:,}"} for what, count in report["reasons"].items()]
    rows += [
        {"what": f"not planned: {why}", "images": f"{count:,}"} for why, count in report["ignored"].items()
    ]
    return rows


def slowest_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of the slowest shards."""
    return [
        {
            "shard": shard["shard"],
            "images": f"{shard['images']:,}",
            "seconds": f"{shard['seconds']:,.1f}",
            "worker": shard["worker"],
        }
        for shard in report["slowest_shards"]
    ]


def failure_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of failed images, with the ledger that has each image's full row."""
    return [failure | {"ledger": f"{report['url']}/{failure['ledger']}"} for failure in report["failures"]]


def show(report: dict[str, Any]) -> None:
    """Print a report to the terminal."""
    if report["run_id"] is None:
        print_line(one_line(report))
        return
    print_rows(f"Run {report['run_id']}", count_rows(report))
    print_rows("Stages (they overlap)", stage_rows(report))
    if reasons := reason_rows(report):
        print_rows("Skipped, failed and not planned", reasons)
    if report["failures"]:
        shown = report["failures"][:FAILURES_PRINTED]
        count = f"{len(shown)} of {report['counts']['failed']:,}"
        print_rows(f"Failed images ({count}; `--retry-failed` tries them again)", shown)
    if sources := report["attributes_from"]:
        words = ", ".join(f"{source} ({count:,})" for source, count in sources.items())
        print_line(f"source attributes from: {words}")
    images = report["inputs"] - report["images_done_before"]
    rate = images / max(report["wall"], 1e-9)
    before = f" ({report['images_done_before']:,} were done before)" if report["images_done_before"] else ""
    if images:
        shown = f"{rate:,.{0 if rate >= 10 else 1}f} images/s"
        print_line(f"{counted(images, 'image')} in {report['wall']:,.1f} s: {shown}{before}")
    else:
        print_line(f"all images were done before; the report took {report['wall']:,.1f} s")
    for remark in report.get("remarks", []):
        print_line(f"note: {remark}")
    if report["shards_isolated"]:
        print_line(
            f"{report['shards_isolated']:,} of {report['shards']:,} shards ran again in isolation, image by image "
            "where necessary, because their process had died"
        )
    if left := report.get("planned_anew"):
        print_line(f"closed unfinished: another version planned its other {left:,} images anew")
    if report["unchanged"]:
        print_line(f"{report['unchanged']:,} images were done by earlier runs and have not changed")
    if report["ignored"]:
        print_line(f"keys that were not planned, with their reasons: {report['url']}/ignored/")
    print_line(f"report, ledgers and picture: {report['url']}/")


def one_line(report: dict[str, Any]) -> str:
    """The report on one line, for the list of runs in the UI."""
    if report["run_id"] is None:
        return _nothing_to_do(report)
    counts = ", ".join(f"{count:,} {status}" for status, count in report["counts"].items() if count)
    return f"{report['inputs']:,} images: {counts}; {report['url']}"


def _nothing_to_do(report: dict[str, Any]) -> str:
    why = (
        f"{report['unchanged']:,} images are done and unchanged"
        if report["unchanged"]
        else "no image has failed"
    )
    return (
        f"nothing to do: {why}, from {report['source']} into {report['destination']} (--redo edits all again)"
    )


def before_after(job: EditJob, sample: Sequence[SampledImage]) -> bytes | None:
    """A JPEG of the sampled images' faces beside their edits; None if nothing was edited."""
    limits = codec.Limits(max_pixels=job.limits.max_pixels)
    pairs, captions = [], []
    for image in sample:
        try:
            before = codec.decode(denials.get(job.source, image.key).data, limits).pixels
            after = codec.decode(denials.get(job.destination, image.output_key).data, limits).pixels
        except (FileNotFoundError, ObjectRefused, DataError):
            # The image has changed since it was edited. The picture does without it.
            continue
        cut = _face_square(image.box, before.shape[1], before.shape[0])
        pairs.append((scaled(before[cut], HEIGHT), scaled(after[cut], HEIGHT)))
        captions.append(image.key)
    return before_after_grid(pairs, captions, columns=3, height=HEIGHT) if pairs else None


def _face_square(box: Sequence[float] | None, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of a square around a face, moved to lie inside the image; without a box, in its middle."""
    left, top, right, bottom = box or (0, 0, width, height)
    wanted = min(width, height) if box is None else round(_SQUARE_PER_FACE * max(right - left, bottom - top))
    side = max(1, min(wanted, width, height))
    x = round(min(max((left + right - side) / 2, 0), width - side))
    y = round(min(max((top + bottom - side) / 2, 0), height - side))
    return slice(y, y + side), slice(x, x + side)
