"""The courses of several runs in one picture, as the report's Figures 11 to 15 have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attgan.evaluation.plots.curves import Panel, draw_curves

Row = Mapping[str, Any]

_BINS = 60  # few, for the courses of many runs lie one over the other
# Title of a panel, whose rows of metrics.jsonl, the number in them, and whether what runs away is cut off.
_PANELS = (
    ("Generator, total of each step", "generator", "total", True),
    ("Discriminator, total of each step", "discriminator", "total", True),
    ("Reconstruction loss", "generator", "reconstruction", True),
    ("Attribute loss on edited faces", "generator", "attributes", True),
    ("Critic: on edited faces - on real ones", "discriminator", "critic", True),
    ("Held out: quality", "check", "quality", False),
    ("Held out: edited faces whose attribute is seen", "check", "edited_accuracy", False),
    ("Held out: SSIM of the reconstruction", "check", "ssim", False),
)


def comparison_curves(runs: Mapping[str, Iterable[Row]]) -> bytes:
    """One curve for each run in each panel, the steps across.

    Args:
        runs: by name, the rows of a run's ``metrics.jsonl``. A dozen can be told apart, 18 look different.

    Returns:
        A PNG.
    """
    courses = {name: _by_source(rows) for name, rows in runs.items()}
    panels = []
    for title, source, number, cut in _PANELS:
        curves = {
            name: [
                (row["step"], row[number]) for row in course.get(source, ()) if row.get(number) is not None
            ]
            for name, course in courses.items()
        }
        panels.append(Panel(title, curves, cut))
    return draw_curves(panels, shared_legend=True, bins=_BINS)


def _by_source(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by the network whose step they tell of, or as checks."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get("network", "check"), []).append(row)
    return found
