"""Curves as one picture: a panel for each kind of number."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from attgan.evaluation.plots.legend import LINE, Style, draw_legend, draw_line, legend_lines, styles_of
from attgan.evaluation.plots.lettering import font_of, legible

Points = Sequence[tuple[float, float]]

_PANEL = (420, 240)
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 44, 26
_PAPER, _INK, _GRID = (255, 255, 255), (60, 60, 60), (228, 228, 228)
_TICKS = 4
_BINS = 180
_SMOOTH, _MARGIN = 3, 4  # how many times as large curves are drawn, and how far they may leave the frame
_MARKED = 30  # of a curve with fewer points each one is marked
# Values beyond 20 times the third quartile leave the panel to those up to 4 times as large.
_OUTLIER, _CUT = 20.0, 4.0


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: above it.
        curves: by name, the points (x, y) in the order of x. What is not finite is left out.
        cut: curves that run away are cut off, and the title says so, where else the others would all look flat.
    """

    title: str
    curves: Mapping[str, Points]
    cut: bool = False


def draw_curves(
    panels: Sequence[Panel], *, columns: int = 2, shared_legend: bool = False, bins: int = _BINS
) -> bytes:
    """Draw the panels side by side.

    Long curves are thinned to the means of equal spans, so that noise does not hide the course.

    Args:
        panels: at least one.
        columns: panels per row.
        shared_legend: a curve of the same name looks the same in all panels, and all names stand once, above the
            panels; else each panel names its own curves.
        bins: spans of a long curve.

    Returns:
        A PNG.
    """
    columns = min(columns, len(panels))
    width, inner = columns * _PANEL[0], _PANEL[0] - _LEFT - _RIGHT
    styles = [styles_of(panel.curves) for panel in panels]
    top, header = 0, _TOP + LINE * (max(legend_lines([*each], inner) for each in styles) - 1)
    if shared_legend:
        shared = styles_of(name for each in styles for name in each)
        styles = [shared] * len(panels)
        top, header = LINE * legend_lines([*shared], width - _LEFT - _RIGHT) + 12, _TOP - LINE
    height = _PANEL[1] - _TOP + header
    sheet = Image.new("RGB", (width, top + math.ceil(len(panels) / columns) * height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    if shared_legend:
        draw_legend(pen, shared, _LEFT, 8, width - _LEFT - _RIGHT)
    for i, panel in enumerate(panels):
        left, above = (i % columns) * _PANEL[0], top + (i // columns) * height
        if not shared_legend:
            draw_legend(pen, styles[i], left + _LEFT, above + 25, inner)
        box = (left + _LEFT, above + header, left + _PANEL[0] - _RIGHT, above + height - _BOTTOM)
        _draw_panel(sheet, panel, styles[i], (left + _LEFT, above + 6), box, bins)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def thinned(points: Points, bins: int = _BINS) -> list[tuple[float, float]]:
    """The finite points, or the mean point of each of ``bins`` equal spans of x if there are more points."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= bins:
        return finite
    first, width = finite[0][0], (finite[-1][0] - finite[0][0]) / bins or 1.0
    spans: dict[int, list[tuple[float, float]]] = {}
    for x, y in finite:
        spans.setdefault(min(bins - 1, int((x - first) / width)), []).append((x, y))
    return [
        (sum(x for x, _ in span) / len(span), sum(y for _, y in span) / len(span)) for span in spans.values()
    ]


def ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``count`` of them."""
    if not low < high:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _draw_panel(
    sheet: Image.Image,
    panel: Panel,
    styles: Mapping[str, Style],
    title: tuple[int, int],
    box: tuple[int, int, int, int],
    bins: int,
) -> None:
    """Title, frame, ticks and curves; ``box`` is the frame: left, top, right, bottom."""
    pen, font, bold = ImageDraw.Draw(sheet), font_of(11), font_of(13)
    curves = {name: thinned(points, bins) for name, points in panel.curves.items()}
    every = [point for points in curves.values() for point in points]
    if not every:
        pen.text(title, legible(panel.title), fill=_INK, font=bold)
        pen.text((box[0], box[1] + 20), "nothing yet", fill=_INK, font=font)
        return
    heights = [y for _, y in every]
    shown = _without_outliers(heights) if panel.cut else heights
    words = panel.title if len(shown) == len(heights) else f"{panel.title} (cut off)"
    pen.text(title, legible(words), fill=_INK, font=bold)
    x_range, y_range = _room([x for x, _ in every], 0.0), _room(shown, 0.06)

    def place(x: float, y: float) -> tuple[float, float]:
        right = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = min(1.0, max(0.0, (y - y_range[0]) / (y_range[1] - y_range[0])))
        return box[0] + right * (box[2] - box[0]), box[3] - up * (box[3] - box[1])

    for tick in ticks(*y_range):
        height = place(x_range[0], tick)[1]
        pen.line([(box[0], height), (box[2], height)], fill=_GRID)
        pen.text((box[0] - 6, height), f"{tick:.4g}", fill=_INK, font=font, anchor="rm")
    for tick in ticks(*x_range):
        across = place(tick, y_range[0])[0]
        pen.line([(across, box[3]), (across, box[3] + 4)], fill=_INK)
        pen.text((across, box[3] + 6), f"{tick:.4g}", fill=_INK, font=font, anchor="mt")
    pen.rectangle(box, outline=_INK)
    _draw_lines(
        sheet, {name: [place(*point) for point in points] for name, points in curves.items()}, styles, box
    )


def _draw_lines(
    sheet: Image.Image,
    curves: Mapping[str, Points],
    styles: Mapping[str, Style],
    box: tuple[int, int, int, int],
) -> None:
    """Lines and marks with smooth edges: drawn several times as large, and reduced."""
    left, top = box[0] - _MARGIN, box[1] - _MARGIN
    size = box[2] + _MARGIN - left, box[3] + _MARGIN - top
    layer = Image.new("RGBA", (size[0] * _SMOOTH, size[1] * _SMOOTH), (*_PAPER, 0))
    pen, radius = ImageDraw.Draw(layer), 2.5 * _SMOOTH
    for name, points in curves.items():
        placed = [((x - left) * _SMOOTH, (y - top) * _SMOOTH) for x, y in points]
        if len(points) > 1:
            draw_line(pen, placed, styles[name], _SMOOTH)
        for x, y in placed if len(points) < _MARKED else []:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=styles[name].colour)
    reduced = layer.reduce(_SMOOTH)
    sheet.paste(reduced, (left, top), reduced)


def _without_outliers(values: Sequence[float]) -> Sequence[float]:
    """The values but for those that dwarf most others; all of them where none does."""
    usual = float(np.quantile(np.abs(values), 0.75))
    if not usual or max(map(abs, values)) <= _OUTLIER * usual:
        return values
    return [value for value in values if abs(value) <= _CUT * usual]


def _room(values: Sequence[float], margin: float) -> tuple[float, float]:
    """From the lowest to the highest value, with room around, never empty."""
    low, high = min(values), max(values)
    extra = (high - low) * margin
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        extra = max(abs(low) * 0.1, 1e-6)
    return low - extra, high + extra
