"""Lips, teeth and the inside of the mouth."""

from __future__ import annotations

import numpy as np

from attgan.drawn_faces.bank import sample
from attgan.drawn_faces.canvas import Array, Canvas, bell, cover, paint, plane, shadow, unit, window
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.features.skin import Skin

MOUTH_V = 154.0


def paint_mouth(face: Face, canvas: Canvas, skin: Skin) -> None:
    """Paint the mouth, closed or slightly open, over skin and beard."""
    traits, build, smile = face.traits, face.build, face.moment.smile
    where = window(-21, 144, 21, 172)
    u, v = canvas.u[where], canvas.v[where]
    lit = skin.shade[where]
    half = 15.0 + 3.4 * smile
    t = u / half
    inside = np.maximum(1 - t * t, 0)
    gap = (face.moment.gap * (0.8 + 0.2 * smile)) if traits.mouth_open else 0.0
    line = MOUTH_V + 1.2 * smile - 4.2 * smile * t * t + 0.5 * (1 - smile) * t * t
    top, bottom = line - 0.35 * gap * inside, line + 0.65 * gap * inside**0.8
    full = (1 + 0.35 * build.lips) * (0.74 if traits.male else 1.0) * (0.8 if not traits.young else 1.0)
    full *= 1 - 0.18 * smile
    bow = 1 - 0.28 * bell(u / 2.6) + 0.16 * bell((np.abs(u) - 4.2) / 3)
    upper_edge = top - 4.3 * full * inside**0.75 * bow
    lower_edge = bottom + 5.8 * full * inside**0.62
    ends = cover(half - np.abs(u), 1.5)
    colour = _lip_colour(face, skin.tone)
    _paint_upper(canvas, where, colour, lit, v, upper_edge, top, ends)
    _paint_lower(face, canvas, where, colour, lit, u, v, bottom, lower_edge, ends)
    if gap:
        _paint_inside(canvas, where, lit, u, v, top, bottom, gap, t)
    else:
        paint(canvas, (62.0, 26.0, 26.0), bell((v - line) / 0.85) * ends * 0.85, where)
    corner = bell((np.abs(u) - half) / 2.2) * bell((v - line) / 2.0)
    shadow(canvas, 0.4 * corner, where)


def _lip_colour(face: Face, tone: Array) -> Array:
    natural = tone * np.array((0.84, 0.6, 0.6), np.float32) + np.array((10, 4, 8), np.float32)
    if face.traits.male:
        return natural + 0.35 * (tone * 0.92 - natural)
    stick = np.array(face.appearance.lip_colour, np.float32)
    return natural + 0.85 * face.appearance.lipstick * (stick - natural)


def _paint_upper(
    canvas: Canvas,
    where: tuple[slice, slice],
    colour: Array,
    lit: Array,
    v: Array,
    edge: Array,
    line: Array,
    ends: Array,
) -> None:
    depth = unit((v - edge) / np.maximum(line - edge, 0.5))
    shade = (0.45 + 0.5 * lit) * (0.95 - 0.3 * depth)
    alpha = cover(v - edge, 1.3) * cover(line - v) * ends
    paint(canvas, plane(colour) * shade, alpha * 0.92, where)


def _paint_lower(
    face: Face,
    canvas: Canvas,
    where: tuple[slice, slice],
    colour: Array,
    lit: Array,
    u: Array,
    v: Array,
    line: Array,
    edge: Array,
    ends: Array,
) -> None:
    depth = unit((v - line) / np.maximum(edge - line, 0.5))
    creases = sample("strand", u * 10 + face.appearance.grain, v * 2)
    shade = (0.45 + 0.5 * lit) * (1.12 - 0.34 * np.abs(depth - 0.3) + 0.025 * creases)
    ink = plane(colour) * shade
    gloss = bell((depth - 0.36) / 0.22) * bell((u - 4 * face.moment.light_x) / 8)
    ink += (255 - ink) * (gloss * (0.12 if face.traits.male else 0.2 + 0.2 * face.appearance.lipstick))
    paint(canvas, ink, cover(v - line) * cover(edge - v, 1.6) * ends * 0.92, where)


def _paint_inside(
    canvas: Canvas,
    where: tuple[slice, slice],
    lit: Array,
    u: Array,
    v: Array,
    top: Array,
    bottom: Array,
    gap: float,
    t: Array,
) -> None:
    hole = cover(v - top) * cover(bottom - v) * cover(1 - np.abs(t), 0.08)
    paint(canvas, (58.0, 18.0, 20.0), hole, where)
    tongue = bell(u / 8) * bell((v - bottom) / 2.4)
    paint(canvas, (150.0, 70.0, 72.0), hole * tongue * 0.7, where)
    height = min(0.72 * gap, 4.6)
    teeth = (
        hole
        * cover(top + height * np.sqrt(np.maximum(1 - 0.9 * t * t, 0)) - v)
        * cover(0.86 - np.abs(t), 0.2)
    )
    gaps = bell(np.abs(np.sin(u * (np.pi / 3.6))) / 0.22)
    white = plane((238.0, 232.0, 220.0)) * (
        (0.55 + 0.45 * np.minimum(lit, 1.1)) * (1 - 0.4 * t * t) * (1 - 0.13 * gaps)
    )
    paint(canvas, white, teeth, where)
