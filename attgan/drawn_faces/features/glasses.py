"""Spectacles and sunglasses."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from attgan.drawn_faces.bank import sample
from attgan.drawn_faces.canvas import (
    EYE_V,
    Array,
    Canvas,
    Window,
    bell,
    cover,
    paint,
    plane,
    shadow,
    unit,
    window,
)
from attgan.drawn_faces.face import Face

CENTRE_U = 21.2


class Lens(NamedTuple):
    """The shape of a lens: half width, heights above and below the middle (px), exponent of the superellipse.

    lift raises the outer upper corner (px), and taper narrows the lower half.
    """

    half_width: float
    above: float
    below: float
    power: float
    lift: float = 0.0
    taper: float = 0.0


SHAPES: dict[str, Lens] = {
    "round": Lens(14.5, 13.0, 13.5, 2.0),
    "oval": Lens(16.5, 10.0, 11.0, 2.4),
    "rectangle": Lens(17.2, 9.0, 9.5, 5.0),
    "square": Lens(16.8, 11.5, 13.0, 4.5),
    "wayfarer": Lens(17.4, 11.5, 13.0, 3.6, 1.2, 0.1),
    "aviator": Lens(17.2, 11.0, 17.0, 2.7, 0.0, 0.2),
    "cat_eye": Lens(17.2, 11.0, 11.0, 3.0, 3.4, 0.08),
}


def paint_temples(face: Face, canvas: Canvas) -> None:
    """Paint the side pieces, which hair hides."""
    glasses = face.spectacles
    lens = _lens(face)
    thick = 0.8 + 0.55 * glasses.rim
    for side in (-1, 1):
        where = window(side * 44 - 10, 98, side * 44 + 10, 118, margin=14)
        p, v = canvas.u[where] * side, canvas.v[where]
        level = EYE_V - 3.0 + glasses.slip - 0.5 * lens.lift
        alpha = (
            cover(thick - np.abs(v - level - 0.05 * (p - 40)))
            * cover(p - CENTRE_U - lens.half_width)
            * cover(47.5 - p)
        )
        shadow(
            canvas,
            0.3 * bell((v - level - 2.5) / 2) * cover(p - CENTRE_U - lens.half_width) * cover(46 - p),
            where,
        )
        paint(canvas, _rim_ink(face, canvas.u[where], v, 0.85), alpha, where)


def paint_glasses(face: Face, canvas: Canvas) -> None:
    """Paint shadow, lenses, rims and bridge in front of eyes and hair."""
    glasses, lens = face.spectacles, _lens(face)
    rim = glasses.rim if glasses.mount != "none" else 0.35
    edge = CENTRE_U + lens.half_width + 4
    where = window(-edge, EYE_V - 16, edge, EYE_V + lens.below + 8)
    # p grows outwards from the middle of each lens, q downwards: one outline serves both.
    u = canvas.u[where]
    p, q = np.abs(u) - np.float32(CENTRE_U), canvas.v[where] - np.float32(EYE_V + 1.5 + glasses.slip)
    distance = _outline(lens, p, q)
    shadow(canvas, 0.34 * unit(1 - np.abs(_raised(distance, 3)) / (rim + 2.2)), where)
    _paint_lens(face, canvas, where, distance, np.copysign(p, p * u), q)
    band = cover(rim - np.abs(distance + rim * 0.4))
    if glasses.mount == "half":
        band *= cover(-q + 1.0, 3)
    strength = 1.0 if glasses.mount != "none" else 0.55
    bevel = 0.9 + 0.5 * np.clip(-distance / (rim + 0.5), -0.5, 1) * np.clip(-q / 8, -0.4, 1)
    paint(canvas, _rim_ink(face, u, canvas.v[where], bevel), band * strength, where)
    _paint_bridge(face, canvas, lens)


def _raised(field: Array, rows: int) -> Array:
    """The field moved down by `rows` pixels, as the shadow on the skin is."""
    return np.concatenate([np.repeat(field[:1], rows, axis=0), field[:-rows]])


def _lens(face: Face) -> Lens:
    lens, size = SHAPES[face.spectacles.shape], 1 + 0.1 * face.spectacles.size
    width = min(lens.half_width * size, 18.6)
    return lens._replace(half_width=width, above=lens.above * size, below=lens.below * size)


def _outline(lens: Lens, p: Array, q: Array) -> Array:
    """Signed distance (px, positive inside) to the lens's edge, from the superellipse's level and slope."""
    q = q + lens.lift * np.clip(p / lens.half_width, -1, 1.2)
    height = np.where(q < 0, lens.above, lens.below).astype(np.float32)
    width = lens.half_width * (1 - lens.taper * np.clip(q / lens.below, -0.5, 1))
    # The outer side is narrowed more: the inner edge of such a lens stays near the nose.
    x, y = np.abs(p + 0.35 * (lens.half_width - width)) / width, np.abs(q) / height
    power = np.float32(lens.power)
    level = (x**power + y**power) ** (1 / power)
    down, along = np.gradient(level)
    return (1 - level) / np.maximum(np.sqrt(down * down + along * along), 0.02)


def _paint_lens(face: Face, canvas: Canvas, where: Window, distance: Array, x: Array, q: Array) -> None:
    glasses, moment = face.spectacles, face.moment
    inside = cover(distance)
    dark = glasses.tint > 0.5
    tint = inside * glasses.tint
    # Sunglasses are lighter towards their lower edge.
    if dark:
        tint = inside * np.minimum(glasses.tint - 0.1 * np.clip(q / 12, -1, 1), 0.97)
    paint(canvas, glasses.lens_colour, tint, where)
    # A window's reflection: slanted streaks, stronger on the side of the light.
    slant = x + 0.75 * q + math.copysign(5.0, moment.light_x)
    streak = cover(2.6 - np.abs(slant), 2) + 0.7 * cover(1.0 - np.abs(slant - 6), 1.5)
    upper = bell((q + 7) / 5) * bell((x - math.copysign(6.0, moment.light_x)) / 9)
    glare = glasses.glare * (0.3 * streak * bell(q / 10) + 0.22 * upper) + 0.04
    paint(canvas, (250.0, 252.0, 255.0), inside * np.minimum(glare * (0.8 if dark else 1.0), 0.8), where)
    shadow(canvas, inside * (0.18 * bell(distance / 2.2)), where)


def _rim_ink(face: Face, u: Array, v: Array, bevel: Array | float) -> Array:
    glasses = face.spectacles
    ink = plane(glasses.colour) * np.ones_like(u)
    if glasses.mottled:
        ink *= 1 + 0.4 * np.tanh(sample("blotch", v * 1.5 + 40, u * 1.5 + 300))
    metal = 0.25 if glasses.rim < 0.9 else 0.12
    spot = unit(np.asarray(bevel, np.float32) - 0.95)
    return ink * bevel + (235 - ink) * np.minimum(spot * (1.2 + 3 * metal), 0.6)


def _paint_bridge(face: Face, canvas: Canvas, lens: Lens) -> None:
    glasses = face.spectacles
    where = window(-12, 96, 12, 122)
    u, v = canvas.u[where], canvas.v[where]
    half = CENTRE_U - lens.half_width + 1.0
    level = EYE_V + 1.5 + glasses.slip - lens.above * (0.45 if lens.power < 4 else 0.5)
    line = level - 1.8 * (1 - (u / (half + 1)) ** 2)
    thick = 0.5 + 0.75 * glasses.rim
    ends = cover(half - np.abs(u), 1.5)
    shadow(canvas, 0.3 * bell((v - line - 2.4) / 2.2) * ends, where)
    bevel = 1.0 - 0.35 * np.clip((v - line) / thick, -1, 1)
    paint(canvas, _rim_ink(face, u, v, bevel), cover(thick - np.abs(v - line)) * ends, where)
    if glasses.shape == "aviator":
        paint(
            canvas,
            _rim_ink(face, u, v, 1.0),
            cover(0.7 - np.abs(v - level + 4.2)) * cover(half + 5 - np.abs(u)),
            where,
        )
