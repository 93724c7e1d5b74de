"""Curves of a run as one picture: a panel for each kind of number."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Points = Sequence[tuple[float, float]]

_PANEL = (420, 240)
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 44, 26
_PAPER, _INK, _GRID = (255, 255, 255), (60, 60, 60), (228, 228, 228)
# Told apart by people with any colour vision: Okabe and Ito's, without yellow and black.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
_TICKS = 4
_GAP = 14
_BINS = 180


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: above it.
        curves: by name, the points (x, y) in the order of x. What is not finite is left out.
    """

    title: str
    curves: Mapping[str, Points]


def draw_curves(panels: Sequence[Panel], *, columns: int = 2) -> bytes:
    """Draw the panels side by side.

    Long curves are thinned to the means of equal spans, so that noise does not hide the course.

    Args:
        panels: at least one.
        columns: panels per row.

    Returns:
        A PNG.
    """
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    sheet = Image.new("RGB", (columns * _PANEL[0], rows * _PANEL[1]), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, panel in enumerate(panels):
        _draw_panel(pen, panel, (i % columns) * _PANEL[0], (i // columns) * _PANEL[1])
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


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    font, bold = ImageFont.load_default(11), ImageFont.load_default(13)
    pen.text((left + _LEFT, top + 6), panel.title, fill=_INK, font=bold)
    curves = {name: thinned(points) for name, points in panel.curves.items()}
    every = [point for points in curves.values() for point in points]
    if not every:
        pen.text((left + _LEFT, top + _TOP + 20), "nothing yet", fill=_INK, font=font)
        return
    x_range = _room([x for x, _ in every], 0.0)
    y_range = _room([y for _, y in every], 0.06)
    box = (left + _LEFT, top + _TOP, left + _PANEL[0] - _RIGHT, top + _PANEL[1] - _BOTTOM)

    def place(x: float, y: float) -> tuple[float, float]:
        right = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
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
    names = _fitting([*curves], box[2] - box[0])
    across = float(box[0])
    for i, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        if len(points) > 1:
            pen.line([place(*point) for point in points], fill=colour, width=2, joint="curve")
        for point in points if len(points) < 30 else []:
            x, y = place(*point)
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        pen.text((across, top + 26), name, fill=colour, font=names)
        across += names.getlength(name) + _GAP


def _fitting(names: Sequence[str], width: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest font, of a size that can be read, in which the names stand side by side in one line."""
    for size in (11, 10, 9, 8, 7):
        font = ImageFont.load_default(size)
        if sum(font.getlength(name) + _GAP for name in names) - _GAP <= width:
            break
    return font


def _room(values: Sequence[float], margin: float) -> tuple[float, float]:
    """From the lowest to the highest value, with room around, never empty."""
    low, high = min(values), max(values)
    extra = (high - low) * margin
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        extra = max(abs(low) * 0.1, 1e-6)
    return low - extra, high + extra
