"""Beards and mustaches."""

from __future__ import annotations

import numpy as np

from attgan.drawn_faces.bank import Contour, distance_field, look_up, mirrored, sample
from attgan.drawn_faces.canvas import Array, Canvas, paint, plane, ramp, unit, window
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.features.skin import Skin

FULL: Contour = mirrored((
    (0, 165.5), (9, 165.5), (16, 165), (20, 158), (24, 151), (31, 143), (36.5, 132), (39.5, 112), (45, 109),
    (46, 124), (44.5, 140), (40.5, 155), (34, 168), (25, 179.5), (13, 188), (0, 190.5),
))  # fmt: skip
GOATEE: Contour = mirrored((
    (0, 165.5), (7, 165.5), (12, 168), (15, 174), (13, 183), (7, 189), (0, 191),
))  # fmt: skip
SHADOW: Contour = mirrored((
    (0, 143.5), (10, 144), (18, 147), (24, 149), (31, 142), (37, 130), (41, 112), (46, 110), (46, 124),
    (44.5, 140),
    (40.5, 155), (34, 167), (25, 177.5), (13, 184.5), (0, 187),
))  # fmt: skip
MUSTACHE: Contour = mirrored((
    (0, 143.8), (6, 144), (12, 146), (17.5, 150), (20.5, 155), (20, 160), (17.5, 159.5), (14.5, 154.5),
    (8, 151.6), (0, 151.8),
))  # fmt: skip


def paint_beard(face: Face, canvas: Canvas, skin: Skin, dark: Array, middle: Array, light: Array) -> None:
    """Paint stubble, beard and mustache in the hair's colours, (3,) each, over the skin."""
    traits = face.traits
    if traits.beard == "stubble":
        _paint_stubble(face, canvas, dark)
    elif traits.beard == "full":
        _paint_hairs(face, canvas, skin, FULL, (dark, middle, light))
    elif traits.beard == "goatee":
        _paint_hairs(face, canvas, skin, GOATEE, (dark, middle, light))
    if traits.mustache:
        _paint_hairs(face, canvas, skin, MUSTACHE, (dark, middle, light))


def _paint_stubble(face: Face, canvas: Canvas, dark: Array) -> None:
    where = window(-48, 108, 48, 196)
    distance = look_up(distance_field(SHADOW), canvas.index[where])
    dots = sample("grain", canvas.v[where] * 1.6 + face.appearance.grain, canvas.u[where] * 1.6 + 300)
    alpha = unit(distance / 7 + 0.2) * np.clip(0.42 + 0.22 * dots, 0.05, 0.85)
    paint(canvas, dark * 0.8 + np.float32(16), alpha, where)


def _paint_hairs(
    face: Face, canvas: Canvas, skin: Skin, contour: Contour, colours: tuple[Array, Array, Array]
) -> None:
    where = window(-50, 108, 50, 200)
    u, v = canvas.u[where], canvas.v[where]
    distance = look_up(distance_field(contour), canvas.index[where])
    # Hairs fan out from the middle of the face and curl a little.
    bend = u + 1.5 * np.sin(v * 0.35 + u * 0.12)
    strands = sample(
        "strand", bend * (660 / np.maximum(v - 60, 20)) * 1.6 + face.appearance.grain, v * 3 + u * 1.2
    )
    tufts = sample("curl", v * 2.2 + face.appearance.grain, u * 2.2 + 200)
    alpha = unit((distance + 0.9 * strands + 0.8 * tufts) / 3.2 + 0.35)
    tone = 0.30 * skin.shade[where] + 0.08 * strands + 0.05 * tufts - 0.012 * np.maximum(distance, 0)
    dark, middle, light = (plane(colour) for colour in colours)
    ink = ramp(dark.ravel() * 0.7, middle.ravel() * 0.85, light.ravel(), tone + 0.06)
    paint(canvas, ink, alpha * 0.93, where)
