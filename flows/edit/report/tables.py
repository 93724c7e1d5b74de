"""The report of an edit run as tables and lines, for the terminal and the UI."""

from __future__ import annotations

from typing import Any

from flows.runtime.terminal import print_line, print_rows
from flows.words import counted

FAILURES_PRINTED = 10


def count_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of counts: one row per status, and their sum beside the inputs."""
    rows = [{"status": status, "images": f"{count:,}"} for status, count in report["counts"].items()]
    total = sum(report["counts"].values())
    rows.append({"status": "total", "images": f"{total:,} (of {counted(report['inputs'], 'input')})"})
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
    if most := report.get("capped"):
        print_line(
            f"no more images than --max-images {most:,} were planned: the same command edits the next ones"
        )
    if "undone" in report:
        print_line(
            f"undone: {counted(report['undone'], 'output')} removed; the next run plans the images again"
        )
    elif left := report.get("planned_anew"):
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
    capped = f"; --max-images {report['capped']:,} is reached" if report.get("capped") else ""
    return f"{report['inputs']:,} images: {counts}{capped}; {report['url']}"


def _nothing_to_do(report: dict[str, Any]) -> str:
    why = (
        f"{report['unchanged']:,} images are done and unchanged"
        if report["unchanged"]
        else "no image has failed"
    )
    return (
        f"nothing to do: {why}, from {report['source']} into {report['destination']} (--redo edits all again)"
    )
