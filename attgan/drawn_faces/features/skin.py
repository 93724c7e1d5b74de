"""Skin: neck, ears and head, in the person's tone, rounded by `relief`'s light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attgan.drawn_faces.bank import Contour, distance_field, grid_index, look_up, mirrored, tile
from attgan.drawn_faces.canvas import (
    HEIGHT,
    WIDTH,
    Array,
    Canvas,
    bell,
    cover,
    paint,
    plane,
    ramp,
    unit,
    window,
)
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.relief import lit

HEAD: Contour = mirrored((
    (0, 40), (15, 41.5), (28, 47), (38, 59), (43, 75), (44.5, 92), (44, 108), (43.5, 122), (41.5, 137),
    (37.5, 151), (32, 163), (24, 174), (14, 181.5), (6, 184), (0, 184.3),
))  # fmt: skip
EAR: Contour = (
    (44, 108), (49, 106), (52.5, 110), (52, 119), (49.5, 127), (47.5, 133), (44.5, 135), (42, 130), (41, 115),
)  # fmt: skip
NECK_FEMALE: Contour = mirrored((
    (0, 140), (25, 150), (25.5, 175), (25.5, 192), (28, 200), (38, 207), (58, 213), (84, 221), (104, 238),
    (0, 260),
))  # fmt: skip
NECK_MALE: Contour = mirrored((
    (0, 140), (31, 150), (32.5, 172), (33, 188), (37, 197), (50, 204), (72, 210), (96, 219), (109, 238),
    (0, 260),
))  # fmt: skip

_TONES = np.array(
    [(230, 184, 158), (220, 168, 136), (198, 144, 110), (164, 112, 80), (128, 84, 58), (98, 64, 45)],
    dtype=np.float32,
)
_PALE = np.array((237, 209, 196), dtype=np.float32)


HEAD_WINDOW = window(-46, 40, 46, 185, margin=20)


class Skin(NamedTuple):
    """The skin's middle colour (3,), its shade and the head's coverage (218, 178), for later painting functions."""

    tone: Array
    shade: Array
    head: Array


def tone_of(face: Face) -> Array:
    """The skin's middle colour, RGB (3,)."""
    if face.traits.pale:
        return _PALE + np.float32(4) * (0.5 - face.appearance.tone)
    place = face.appearance.tone * (len(_TONES) - 1)
    low = min(int(place), len(_TONES) - 2)
    tone = _TONES[low] + (place - low) * (_TONES[low + 1] - _TONES[low])
    return tone + np.array((3, -4, -4), dtype=np.float32) * (face.appearance.redness - 0.5) * 2


def paint_head(face: Face, canvas: Canvas) -> Skin:
    """Paint ears and head over neck and clothes."""
    tone, where = tone_of(face), HEAD_WINDOW
    u, v = canvas.u[where], canvas.v[where]
    _paint_ears(face, canvas, tone)
    shade, gloss = lit(face, u, v)
    shade *= face.moment.exposure
    height, width = u.shape
    blotch = tile("blotch", height, width, face.appearance.grain * 131, face.appearance.grain * 57)
    shade += blotch * (0.008 if face.traits.young else 0.017)
    cut = cover(look_up(distance_field(HEAD), canvas.index[where]))
    paint(canvas, _skin_colour(face, u, v, tone, shade, gloss), cut, where)
    everywhere, head = np.zeros((2, HEIGHT, WIDTH), dtype=np.float32)
    everywhere[where], head[where] = shade, cut
    return Skin(tone, everywhere, head)


def flesh(tone: Array, brightness: Array) -> Array:
    """(3, h, w): skin of a tone under a brightness (1 = facing a plain light)."""
    dark = tone * np.array((0.36, 0.27, 0.25), dtype=np.float32)
    light = tone + (255 - tone) * np.array((0.62, 0.58, 0.52), dtype=np.float32)
    return ramp(dark, tone, light, brightness * 0.57)


def _skin_colour(face: Face, u: Array, v: Array, tone: Array, shade: Array, gloss: Array) -> Array:
    colour = flesh(tone, shade)
    shine = 0.10 + 0.12 * float(face.traits.male)
    # The bald top of a head is oilier than a face.
    if face.traits.bald:
        gloss = gloss * (1 + 0.5 / shine * bell((v - 52) / 24))
    colour += (255 - colour) * (gloss * shine)
    side = np.abs(u)
    red = bell((side - 26) / 12) * bell((v - 134) / 12) * (0.25 + _blush(face)) + 0.25 * bell(u / 8) * bell(
        (v - 138) / 7
    )
    red *= (0.5 + 0.5 * face.appearance.redness) * min(1.0, float(tone.mean()) / 180) ** 2
    colour -= red * plane((-2.0, 24.0, 20.0))
    return colour


def _blush(face: Face) -> float:
    return 0.0 if face.traits.male else 1.1 * face.appearance.blush


def paint_neck(face: Face, canvas: Canvas) -> None:
    """Paint neck and shoulders, with the shadow of the chin on them."""
    tone, male = tone_of(face), face.traits.male
    where = window(-110, 156, 110, 218)
    chin = look_up(distance_field(HEAD), canvas.index[where])
    u, v = canvas.u[where], canvas.v[where]
    distance = look_up(distance_field(NECK_MALE if male else NECK_FEMALE), canvas.index[where])
    turn = u / (34.0 if male else 27.0)
    shade = (0.98 - 0.3 * turn * turn + 0.35 * face.moment.light_x * turn) * face.moment.exposure
    shade = np.clip(shade, 0.35, 1.1) * (0.62 + 0.38 * face.moment.ambient)
    # Shadow of the chin, and the two tendons that run down to the pit of the throat.
    shade *= 1 - 0.45 * np.exp(-np.maximum(-chin, 0) / 9.0)
    shade *= 1 - 0.12 * bell((np.abs(u) - 13 + (v - 190) * 0.3) / 3.5) * unit((v - 186) / 8)
    paint(canvas, flesh(tone, shade), cover(distance), where)


def _paint_ears(face: Face, canvas: Canvas, tone: Array) -> None:
    where = window(-54, 106, 54, 136, margin=16)
    u, v = canvas.u[where], canvas.v[where]
    p = np.abs(u)
    distance = look_up(distance_field(EAR), grid_index(p, v))
    shade = (0.74 + 0.2 * face.moment.light_x * np.sign(u)) * face.moment.exposure
    hollow = 0.42 * bell((distance - 3.6) / 1.5) * bell((v - 118) / 10) + 0.25 * bell((p - 45) / 2.5)
    colour = flesh(tone + np.array((4, -6, -6), dtype=np.float32), shade * (1 - hollow))
    paint(canvas, colour, cover(distance), where)
