"""Trials compared by two metrics, as a picture: one point each, and a line through those that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attgan.evaluation.plots.curves import to_png

_SIZE, _DPI = (7.0, 4.6), 100
_FRONT, _OTHERS = "#d55e00", "#0072b2"


@dataclass(frozen=True)
class Point:
    """One trial.

    Attributes:
        name: written beside the point.
        x, y: its values.
        on_front: whether no other trial is better in one metric without being worse in the other.
    """

    name: str
    x: float
    y: float
    on_front: bool


def draw_front(points: Sequence[Point], *, x: str, y: str) -> bytes:
    """Draw the points, and the Pareto front as a line. The same points give the same bytes.

    Args:
        points: at least one.
        x, y: names of the axes.

    Returns:
        A PNG of 700 × 460 pixels.
    """
    # matplotlib is imported where a picture is drawn, as for curves.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="tight")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    front = sorted((point for point in points if point.on_front), key=lambda point: (point.x, point.y))
    others = [point for point in points if not point.on_front]
    axes.plot(
        [point.x for point in front],
        [point.y for point in front],
        "o-",
        color=_FRONT,
        label="no other trial is better in both",
    )
    if others:
        axes.plot(
            [point.x for point in others], [point.y for point in others], "o", color=_OTHERS, label="others"
        )
    for point in points:
        axes.annotate(point.name, (point.x, point.y), xytext=(5, 5), textcoords="offset points", size=8)
    axes.set(xlabel=x, ylabel=y)
    axes.margins(0.1)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    return to_png(canvas)
