"""Curves as one picture: a panel for each kind of number."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

# matplotlib is imported where a picture is drawn: it costs about a second, which most processes never need.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

Points = Sequence[tuple[float, float]]
Style = Mapping[str, Any]

# Width of a panel and its height without its legend, in inches, each of which has _DPI pixels.
_PANEL = (5.0, 2.5)
_DPI = 100
# People with any colour vision can tell these apart: Okabe and Ito's, without yellow and black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_LINES = ("-", "--", ":")
_BINS = 180
# Each point of a shorter curve is marked.
_MARKED = 30
# Values beyond 20 times the third quartile leave the panel to those up to 4 times as large.
_OUTLIER, _CUT = 20.0, 4.0
# Longest line of a name in a legend, in letters.
_LETTERS = 60
_LEGEND: Style = {"frameon": False, "fontsize": 8, "handlelength": 2.6, "columnspacing": 1.4, "borderpad": 0}
# Place of a panel's own legend, relative to the panel's frame.
_ABOVE: Style = {"loc": "lower left", "bbox_to_anchor": (0, 1.02), "borderaxespad": 0, "alignment": "left"}


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: above it.
        curves: by name, the points (step, value) in the order of the steps. What is not finite is left out.
        cut: values that are far larger than most others are cut off, and the title says so. Otherwise they would make
            all other curves look flat.
    """

    title: str
    curves: Mapping[str, Points]
    cut: bool = False


def draw_curves(
    panels: Sequence[Panel], *, columns: int = 2, shared_legend: bool = False, bins: int = _BINS
) -> bytes:
    """Draw the panels side by side. The same panels give the same bytes.

    Args:
        panels: at least one.
        columns: panels per row.
        shared_legend: a curve of the same name looks the same in all panels, and one legend above the panels holds all
            names; else each panel has its own legend.
        bins: a curve with more points than this is drawn by their means, see :func:`thinned`.

    Returns:
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    shared = styles_of(name for panel in panels for name in panel.curves)
    # Heights of the legends: of the shared one, and of the highest one in each row.
    above, highest = 0.0, [0.0] * rows
    for number, panel in enumerate(panels):
        # It gets its place below, once all heights are known.
        axes = figure.add_axes((0, 0, 1, 1), label=str(number))
        styles = shared if shared_legend else styles_of(panel.curves)
        title = _draw_panel(axes, panel, styles, bins)
        if shared_legend or not panel.curves:
            axes.set_title(title, loc="left", size=10, weight="bold")
        else:
            # As the legend's title it is above the legend, however many lines that has.
            legend = _legend(axes, styles, _PANEL[0] - 0.7, title=title, **_ABOVE)
            legend.get_title().set(size=10, weight="bold")
            row = number // columns
            highest[row] = max(highest[row], legend.get_window_extent().height / _DPI)
    if shared_legend and shared:
        legend = _legend(figure, shared, columns * _PANEL[0] - 0.2, loc="upper center")
        above = legend.get_window_extent().height / _DPI + 0.1
    _place(figure, columns, highest, above)
    return to_png(canvas)


def to_png(canvas: FigureCanvasAgg) -> bytes:
    """A drawn figure as a PNG, without matplotlib's version in it: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _place(figure: Figure, columns: int, legends: Sequence[float], above: float) -> None:
    """Set the size of the figure, and the places of its panels.

    matplotlib can find the places by itself, but takes as long for that as for all of the drawing.

    Args:
        figure: with its panels, row by row.
        columns: panels per row.
        legends: the height of the highest legend in each row, in inches.
        above: height of what is above all panels, in inches.
    """
    left, right, top, bottom, label = 0.68, 0.12, 0.24, 0.3, 0.22
    width, height = columns * _PANEL[0], len(legends) * _PANEL[1] + sum(legends) + above + label
    figure.set_size_inches(width, height)
    figure.text(0.5, 0.06 / height, "steps", size=9, ha="center", va="bottom")
    for number, axes in enumerate(figure.axes):
        row, column = divmod(number, columns)
        ceiling = height - above - row * _PANEL[1] - sum(legends[: row + 1])
        axes.set_position(
            (
                (column * _PANEL[0] + left) / width,
                (ceiling - _PANEL[1] + bottom) / height,
                (_PANEL[0] - left - right) / width,
                (_PANEL[1] - top - bottom) / height,
            )
        )


def thinned(points: Points, bins: int) -> np.ndarray:
    """Replace the points of a long curve by means, so that noise does not hide how the curve runs.

    Args:
        points: (x, y) in the order of x.
        bins: equal spans from the first to the last x.

    Returns:
        ``(n, 2)`` float64: the finite points if there are at most ``bins`` of them, else the mean point of each span
        that has one.
    """
    finite = np.array(points, dtype=np.float64).reshape(-1, 2)
    finite = finite[np.isfinite(finite).all(axis=1)]
    if len(finite) <= bins:
        return finite
    x = finite[:, 0]
    span = np.floor((x - x[0]) / ((x[-1] - x[0]) / bins or 1.0)).astype(int).clip(0, bins - 1)
    counts = np.bincount(span)
    means = np.column_stack([np.bincount(span, column) / counts.clip(1) for column in finite.T])
    return means[counts > 0]


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """How each name's line is drawn, in the order in which they come first; the first 18 all look different."""
    count = len(_COLOURS)
    return {
        name: {"color": _COLOURS[i % count], "linestyle": _LINES[i // count % len(_LINES)], "linewidth": 1.5}
        for i, name in enumerate(dict.fromkeys(names))
    }


def _draw_panel(axes: Axes, panel: Panel, styles: Mapping[str, Style], bins: int) -> str:
    """Draw axes and curves. Returns the title."""
    from matplotlib.ticker import MaxNLocator

    axes.tick_params(labelsize=8, color="0.6")
    axes.spines[:].set_color("0.6")
    axes.spines[["top", "right"]].set_visible(False)
    curves = {name: thinned(points, bins) for name, points in panel.curves.items()}
    values = np.concatenate([points[:, 1] for points in curves.values()] or [np.empty(0)])
    if not len(values):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center", color="0.4", size=9)
        return panel.title
    for name, points in curves.items():
        axes.plot(*points.T, **styles[name], marker="o" if len(points) < _MARKED else "", markersize=3.5)
    axes.margins(x=0.02)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="0.9")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    # The usual format writes what labels have in common, such as 1e6, where the legend is.
    axes.yaxis.set_major_formatter("{x:,.7g}")
    usual = _without_outliers(values) if panel.cut else values
    if len(usual) == len(values):
        return panel.title
    low, high = usual.min(), usual.max()
    margin = 0.06 * (high - low) or 0.1 * abs(high)
    axes.set_ylim(low - margin, high + margin)
    return f"{panel.title} (cut off)"


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """The values but for those that dwarf most others; all of them where none does."""
    usual = np.quantile(np.abs(values), 0.75)
    if not usual or np.abs(values).max() <= _OUTLIER * usual:
        return values
    return values[np.abs(values) <= _CUT * usual]


def _legend(parent: Axes | Figure, styles: Mapping[str, Style], width: float, **settings: Any) -> Legend:
    """The legend of these styles, with as many columns as fit into ``width``, in inches."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **style) for style in styles.values()]
    names = [textwrap.fill(name, _LETTERS) for name in styles]
    for columns in range(min(len(lines), 6), 0, -1):
        legend = parent.legend(lines, names, ncols=columns, **_LEGEND, **settings)
        for text in legend.get_texts():
            text.set_parse_math(False)
        if columns == 1 or legend.get_window_extent().width <= width * _DPI:
            break
        legend.remove()
    return legend
