"""The training curves of several runs in one picture, as in the reference study's Figures 11 to 15."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attgan.evaluation.plots.curves import Panel, draw_curves

Row = Mapping[str, Any]

# Fewer than for one run, because the curves of many runs lie one over the other.
_BINS = 60
# Title of a panel, which rows of metrics.jsonl, the number in them, and whether values that explode are cut off.
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
    """Draw one curve for each run in each panel, over the steps.

    Args:
        runs: by name, the rows of a run's ``metrics.jsonl``. A dozen can be told apart, 18 look different.

    Returns:
        A PNG.
    """
    sources = {name: _by_source(rows) for name, rows in runs.items()}

    def curve(name: str, source: str, number: str) -> list[tuple[float, float]]:
        rows = sources[name].get(source, ())
        return [(row["step"], row[number]) for row in rows if row.get(number) is not None]

    panels = [
        Panel(title, {name: curve(name, source, number) for name in runs}, cut)
        for title, source, number, cut in _PANELS
    ]
    return draw_curves(panels, shared_legend=True, bins=_BINS)


def _by_source(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by the network whose step they record; those of validations under "check"."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get("network", "check"), []).append(row)
    return found
