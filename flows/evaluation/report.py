"""The report of an evaluation: as JSON, as Markdown and as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pyarrow as pa
import pyarrow.csv

from attgan.evaluation.eye_region import CHANGED
from attgan.evaluation.face_traits import NOSE, TURNED
from attgan.evaluation.intervals import REPLICATES
from attgan.evaluation.realism import LEAST
from attgan.evaluation.tflite import SIZE
from flows.evaluation.figures import Figures
from flows.evaluation.measure import MeasuredFace, Picture
from flows.runtime.terminal import print_line, print_rows
from flows.settings import EvaluateSettings

REPORT = "report.json"
ENOUGH = 300
"""Groups with fewer bare faces are marked, because their figures are uncertain."""

# Each table's title; and of each column the figure's key, the heading and the number of decimals.
_TABLES: tuple[tuple[str, tuple[tuple[str, str, int], ...]], ...] = (
    (
        "Share seen with glasses",
        (
            ("seen_result", "results", 2),
            ("seen_wearers", "wearers", 2),
            ("seen_original", "originals", 2),
            ("seen_unedited", "unedited", 2),
            ("seen_renderer", "renderer", 2),
        ),
    ),
    (
        "Realism: (KID - best) / (worst - best)",
        (
            ("relative_result", "results", 2),
            ("relative_unedited", "unedited", 2),
            ("relative_renderer", "renderer", 2),
            ("kid_result", "KID of results", 2),
            ("best_result", "best", 2),
            ("worst_result", "worst", 2),
        ),
    ),
    (
        "Sharpness, as a share of wearers'",
        (
            ("sharpness_result", "results", 2),
            ("sharpness_original", "originals", 2),
            ("sharpness_unedited", "unedited", 2),
            ("sharpness_renderer", "renderer", 2),
        ),
    ),
    (
        "What the edit does",
        (
            ("edited", "edited", 2),
            ("wearers_edited", "second pairs", 2),
            ("changed_inside", "inside", 3),
            ("changed_outside", "outside", 3),
            ("largest_outside", "most outside", 0),
        ),
    ),
)


def to_json(
    settings: EvaluateSettings,
    *,
    about: Mapping[str, Any],
    without_split: Sequence[str],
    groups: Mapping[str, Figures],
    failures: Sequence[str],
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        settings: of the evaluation.
        about: bundle, evaluator and features.
        without_split: the tables without a split, of which all faces were used.
        groups: the figures of each group.
        failures: a line for each face that could not be measured.
    """
    return {
        "schema_version": 1,
        **about,
        "settings": settings.model_dump(mode="json"),
        "taken_whole": list(without_split),
        "groups": {
            group: {key: None if figure is None else figure._asdict() for key, figure in found.items()}
            for group, found in groups.items()
        },
        "not_measured": list(failures),
    }


def faces_table(faces: Sequence[MeasuredFace]) -> bytes:
    """The measurements of each face as CSV, to look up which faces make up a figure."""
    rows = []
    for face in faces:
        row: dict[str, Any] = {
            "set": face.listed.set,
            "file": face.listed.name,
            "eyeglasses": face.listed.wears,
            "grey": face.grey,
            "yaw": face.yaw,
            "tone": face.tone,
            "edited": face.edited,
            "inside": face.inside,
            "outside": face.outside,
        }
        for picture in get_args(Picture):
            look = face.looks.get(picture)
            row[f"glasses_{picture}"] = None if look is None else look.glasses
            row[f"sharpness_{picture}"] = None if look is None else look.sharpness
        rows.append(row)
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def show(report: Mapping[str, Any]) -> None:
    """Print the tables to the terminal."""
    for title, columns in _TABLES:
        if rows := _rows(report, columns):
            print_rows(title, rows)
    for line in _remarks(report):
        print_line(line)
    print_line(f"report.md, {REPORT}, faces.csv and pages: {report['settings']['destination']}")


def to_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["# Evaluation", "", *_remarks(report), ""]
    for title, columns in _TABLES:
        if not (rows := _rows(report, columns)):
            continue
        lines += [f"## {title}", "", f"| {' | '.join(rows[0])} |", f"|{' --- |' * len(rows[0])}"]
        lines += [f"| {' | '.join(row.values())} |" for row in rows]
        lines.append("")
    lines += ["## How it was measured", "", *_METHOD]
    return "\n".join(lines) + "\n"


_METHOD = (
    f"- In brackets: the 95 % interval, by {REPLICATES:,} bootstrap replicates over faces. * marks groups of fewer "
    f"than {ENOUGH} bare faces, whose figures are uncertain.",
    "- Results are what the edit flow's own functions return: the photograph with the composited edit, or the "
    "photograph as it was where the bundle's classifier recognises glasses already.",
    "- *Unedited*: what the generator makes of those faces that the edit flow edits, without any edit, put back as "
    "the edit is. There are no glasses on these pictures, so whatever an evaluator sees there is a false positive.",
    f"- Eye regions for evaluator (TFLite) and features are cut from faces of {SIZE} px, whatever the photograph's "
    f"size. KID: unbiased, polynomial kernel of degree 3, over all pairs, with {LEAST} faces on each side at least. "
    "Best: one half of the wearers against the other; worst: bare faces against wearers. Bare faces are weighted so "
    "that set, sex, age and yaw are spread as among the wearers; so they are for sharpness.",
    "- Sharpness: mean absolute Laplacian of the eye region in the face square at 256 px; a smaller photograph is "
    "enlarged to it.",
    "- Edited: share of the bare faces; second pairs: share of the wearers that the edit flow edits, too. Both "
    "are what the bundle's classifier decides.",
    f"- Inside: share of the edit mask's pixels that differ by more than {CHANGED} levels. Outside: share "
    "of the faces in which any pixel beyond the mask differs; most outside: by how many levels. On pixels, before any "
    "encoding.",
    f"- Yaw: tan(yaw) = (nose tip off the line from the middle of the eyes to that of the mouth, along the eyes) / "
    f"({NOSE} of the distance seen between them); turned above {TURNED:g}°, by the landmarks that the "
    "face detector finds. Faces without landmarks are in neither group.",
    "- Tone: individual typology angle of the median colour of the cheeks: light above 41°, intermediate above 28°, "
    "tan above 10°, dark. It is the tone of the picture, its light included.",
)


def _rows(report: Mapping[str, Any], columns: Sequence[tuple[str, str, int]]) -> list[dict[str, str]]:
    """A table's rows, without columns that have no figure; no rows if no column has any."""
    rows = []
    for group, found in report["groups"].items():
        bare, wearers = (_count(found[key]) for key in ("edited", "wearers_edited"))
        row = {
            "group": group if bare >= ENOUGH else f"{group} *",
            "bare": f"{bare:,}",
            "wearers": f"{wearers:,}",
        }
        row |= {heading: _shown(found[key], digits) for key, heading, digits in columns}
        rows.append(row)
    empty = {heading for _, heading, _ in columns if all(row[heading] == "–" for row in rows)}
    if len(empty) == len(columns):
        return []
    return [{what: value for what, value in row.items() if what not in empty} for row in rows]


def _count(figure: Mapping[str, Any] | None) -> int:
    return 0 if figure is None else int(figure["faces"])


def _shown(figure: Mapping[str, Any] | None, digits: int) -> str:
    if figure is None:
        return "–"
    value, low, high = (f"{figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return value if digits == 0 else f"{value} [{low}, {high}]"


def _remarks(report: Mapping[str, Any]) -> list[str]:
    settings = report["settings"]
    lines = [
        f"Bundle {settings['bundle']} ({report['bundle'][:16]}), split {settings['split']}; evaluator: "
        f"{report['evaluator']['about']}."
    ]
    if report["features"] is not None:
        lines.append(f"Features of realism: {report['features']['tensor']}.")
    if report["taken_whole"]:
        lines.append(
            f"Tables without splits, of which all faces were used: {', '.join(report['taken_whole'])}."
        )
    if report["not_measured"]:
        lost = report["not_measured"]
        lines.append(f"Not measured: {len(lost):,} faces ({lost[0]} …).")
    return lines
