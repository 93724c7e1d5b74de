"""Show the results of a sweep in the Prefect UI and in the terminal."""

from __future__ import annotations

from typing import Any

from flows.runtime import reporting
from flows.runtime.terminal import console, print_line, print_rows
from flows.storage import join, open_store
from flows.sweep.best import MEASURED
from flows.sweep.leaderboard import UNKNOWN, number
from flows.sweep.results import CURVES, FACES, LEADERBOARD, TENSORBOARD

# Columns of a terminal that a whole leaderboard fits into.
_WIDE = 130
_PICTURES = {
    CURVES: "Losses and validations of all trials",
    FACES: "The same faces, edited by each trial",
}


def show_artifacts(report: dict[str, Any]) -> None:
    """Show leaderboard, the best trial's measurements, curves and faces as artifacts of the flow run."""
    store = open_store(report["sweep"], option="--destination")
    judge = f"; evaluator: {report['judge']}" if report["judge"] else ""
    reporting.table("sweep-leaderboard", report["leaderboard"], _caption(report) + judge)
    if report["best"] is not None:
        reporting.table("sweep-result", measure_rows(report), f"The best trial, {report['bundle']}")
    for key in report["pictures"]:
        reporting.picture(
            f"sweep-{key.partition('.')[0]}", store.get(key).data, f"{_PICTURES[key]}, {store.url}"
        )


def show(report: dict[str, Any]) -> None:
    """Print a report to the terminal."""
    print_rows(_caption(report), _fitting(report["leaderboard"], report["metric"]))
    if report["best"] is None:
        print_line(f"{report['reason']}; no trial kept weights that can be compared")
    else:
        print_rows(f"The best trial: {report['best']['label']}", measure_rows(report))
        print_line(f"best bundle: {report['bundle']} ({report['digest'][:16]})")
        print_line(f"licence: {report['licence']}")
    if report["judge"]:
        print_line(f"evaluator: {report['judge']}")
    places = [*report["pictures"], LEADERBOARD]
    print_line(f"pictures and tables: {', '.join(join(report['sweep'], key) for key in places)}")
    print_line(f"curves for TensorBoard: {join(report['sweep'], TENSORBOARD)}")


def measure_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """The best trial's measurements beside those of the starting bundle."""
    best, start = report["best"], report["start"]
    metric = report["metric"]
    rows = [{"measure": f"{metric.replace('_', ' ')}, held out", "best": number(best["value"])}]
    rows += [{"measure": words, "best": number(best["test"].get(name))} for name, words in MEASURED.items()]
    if start is not None:
        values = [start["value"], *(start["test"].get(name) for name in MEASURED)]
        rows = [row | {"start": number(value)} for row, value in zip(rows, values, strict=True)]
    return rows


def _fitting(rows: list[dict[str, str]], metric: str) -> list[dict[str, str]]:
    """All columns, or in a narrow terminal the most important ones; rows without a rank show their state instead."""
    if console.width >= _WIDE:
        return rows
    shown = ("trial", "settings", metric.replace("_", " "), "edits seen", "SSIM", "changed outside")
    return [
        {"rank": row["rank"] if row["rank"] != UNKNOWN else row["state"]}
        | {name: row[name] for name in shown}
        for row in rows
    ]


def _caption(report: dict[str, Any]) -> str:
    states = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in report["states"].items())
    return f"Leaderboard by {report['metric'].replace('_', ' ')}: {report['trials']:,} trials, {states}"
