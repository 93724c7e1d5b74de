"""The leaderboard as people see it: tables and pictures in the terminal and in the Prefect UI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows.runtime import reporting
from flows.runtime.terminal import print_line, print_rows
from flows.storage import join, open_store
from flows.sweep.results.leaderboard import LEADERBOARD, LEADERBOARD_CSV, Row
from flows.sweep.results.tensorboard import TENSORBOARD

FRONT = "pareto.png"
CURVES = "curves.png"
FACES = "faces.jpg"
UNKNOWN = "–"
MEASURED = {
    "edit_success": "edited faces in which the evaluator sees the attribute",
    "success_weaker": "the same, edited half as strongly",
    "success_stronger": "the same, edited one and a half times as strongly",
    "false_positives": "unedited faces in which the evaluator sees the attribute",
    "on_reconstruction": "unchanged reconstructions in which the evaluator sees the attribute",
    "psnr": "PSNR of the unchanged reconstruction, dB",
    "ssim": "SSIM of the unchanged reconstruction",
    "outside": "grey levels changed outside the attribute's region, against the face",
    "kept_attributes": "other attributes that the evaluator sees as before",
}
_PICTURES = {
    CURVES: "Losses and validations of all trials",
    FACES: "The same faces, edited by each trial",
    FRONT: "The trials by both metrics",
}


def shown(rows: Sequence[Row], metric: str, second: str | None = None) -> list[dict[str, str]]:
    """The rows, in columns that fit the UI; with a second metric, ★ marks those on the Pareto front."""
    other = "kept at step" if second == "steps" else (second or "").replace("_", " ")
    return [
        {
            "rank": _rank(row),
            "trial": row.name,
            "settings": row.label,
            metric.replace("_", " "): number(row.value),
        }
        | ({other: number(row.second) + " ★" * row.on_front} if second else {})
        | {
            "edits seen": number(row.test.get("edit_success")),
            "SSIM": number(row.test.get("ssim")),
            "outside": number(row.test.get("outside")),
        }
        for row in rows
    ]


def _rank(row: Row) -> str:
    """The rank, with the state unless that is the usual one; without a rank, the state."""
    state = row.state.replace("_", " ")
    if row.rank is None:
        return state
    return str(row.rank) if row.state == "finished" else f"{row.rank}, {state}"


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    return UNKNOWN if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show_artifacts(report: dict[str, Any]) -> None:
    """Show leaderboard, the best trial's measurements, curves and faces as artifacts of the flow run."""
    store = open_store(report["sweep"], option="--destination")
    evaluator = f"; evaluator: {report['evaluator']}" if report["evaluator"] else ""
    links = {name: reporting.task_run_link(name, run) for name, run in report["task_runs"].items()}
    rows = [row | {"trial": links.get(row["trial"], row["trial"])} for row in report["leaderboard"]]
    reporting.table("sweep-leaderboard", rows, _caption(report) + evaluator)
    if report["best"] is not None:
        reporting.table("sweep-result", measure_rows(report), f"The best trial, {report['bundle']}")
    for key in report["pictures"]:
        reporting.picture(
            f"sweep-{key.partition('.')[0]}", store.get(key).data, f"{_PICTURES[key]}, {store.url}"
        )


def show(report: dict[str, Any]) -> None:
    """Print a report to the terminal."""
    print_rows(_caption(report), report["leaderboard"])
    if report["best"] is None:
        print_line(f"{report['reason']}; no trial kept weights that can be compared")
    else:
        print_rows(f"The best trial: {report['best']['label']}", measure_rows(report))
        print_line(f"best bundle: {report['bundle']} ({report['digest'][:16]})")
        print_line(f"licence: {report['licence']}")
    if report["evaluator"]:
        print_line(f"evaluator: {report['evaluator']}")
    places = [*report["pictures"], LEADERBOARD, LEADERBOARD_CSV]
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


def _caption(report: dict[str, Any]) -> str:
    states = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in report["states"].items())
    return f"Leaderboard by {report['metric'].replace('_', ' ')}: {report['trials']:,} trials, {states}"
