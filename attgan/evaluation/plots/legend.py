"""How curves are told apart: a colour and a kind of line each, and the legend that names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from attgan.evaluation.plots.lettering import font_of, legible, without_end

LINE = 15  # height of a legend's line

Point = tuple[float, float]

# Told apart by people with any colour vision: Okabe and Ito's, without yellow and black.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
# Beyond the colours lines are dashed, then dotted: pixels drawn, pixels left out.
_DASHES: tuple[tuple[float, float] | None, ...] = (None, (8, 4), (2, 3))
_TEXT = 11
_SAMPLE = 16  # of a line, before its name
_GAP = 12


@dataclass(frozen=True)
class Style:
    """How a curve is drawn.

    Attributes:
        colour: red, green and blue.
        dash: pixels drawn and pixels left out; None for a line without gaps.
    """

    colour: tuple[int, int, int]
    dash: tuple[float, float] | None


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name, in the order in which they come first; the first 18 all look different."""
    count = len(_COLOURS)
    return {
        name: Style(_COLOURS[i % count], _DASHES[i // count % len(_DASHES)])
        for i, name in enumerate(dict.fromkeys(names))
    }


def legend_lines(names: Sequence[str], width: float) -> int:
    """How many lines the legend of these names takes."""
    return 1 + max((line for line, _, _ in _layout(names, width)), default=0)


def draw_legend(
    pen: ImageDraw.ImageDraw, styles: Mapping[str, Style], left: float, top: float, width: float
) -> None:
    """A sample of each line and its name, side by side, in as many lines as it takes."""
    for style, (line, across, text) in zip(styles.values(), _layout([*styles], width), strict=True):
        x, y = left + across, top + line * LINE
        draw_line(pen, [(x, y + LINE / 2), (x + _SAMPLE, y + LINE / 2)], style)
        pen.text((x + _SAMPLE + 4, y + LINE / 2), text, fill=style.colour, font=font_of(_TEXT), anchor="lm")


def draw_line(pen: ImageDraw.ImageDraw, points: Sequence[Point], style: Style, scale: int = 1) -> None:
    """A line through the points, two pixels wide; all in a picture so many times as large."""
    if style.dash is None:
        pen.line(points, fill=style.colour, width=2 * scale, joint="curve")
        return
    drawn, left_out = style.dash
    for dash in _dashes(points, drawn * scale, left_out * scale):
        pen.line(dash, fill=style.colour, width=2 * scale, joint="curve")


def _layout(names: Sequence[str], width: float) -> list[tuple[int, float, str]]:
    """For each name its line, where in it the sample begins, and the text."""
    font, places = font_of(_TEXT), []
    line, across = 0, 0.0
    for name in names:
        text = without_end(legible(name), font, width - _SAMPLE - 4)
        length = _SAMPLE + 4 + font.getlength(text)
        if across and across + length > width:
            line, across = line + 1, 0.0
        places.append((line, across, text))
        across += length + _GAP
    return places


def _dashes(points: Sequence[Point], drawn: float, left_out: float) -> list[list[Point]]:
    """The pieces of the line through the points that are drawn."""
    xs, ys = np.array(points, dtype=float).T
    travelled = np.concatenate([[0.0], np.hypot(np.diff(xs), np.diff(ys)).cumsum()])
    pieces = []
    for start in np.arange(0.0, travelled[-1], drawn + left_out):
        end = min(start + drawn, travelled[-1])
        between = travelled[(travelled > start) & (travelled < end)]
        at = np.concatenate([[start], between, [end]])
        places = np.interp(at, travelled, xs), np.interp(at, travelled, ys)
        pieces.append(list(zip(*(place.tolist() for place in places), strict=True)))
    return pieces
