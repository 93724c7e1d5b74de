"""Clothes and earrings."""

from __future__ import annotations

import numpy as np

from attgan.drawn_faces.bank import distance_field, look_up, tile
from attgan.drawn_faces.canvas import WIDTH, Array, Canvas, bell, cover, paint, plane, shadow, window
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.features.hair import style_of
from attgan.drawn_faces.features.skin import NECK_FEMALE, NECK_MALE


def wears_tie(face: Face) -> bool:
    """Whether a necktie is drawn."""
    return face.traits.male and face.moment.outfit < 0.3


def wears_earrings(face: Face) -> bool:
    """Whether earrings are drawn: only on visible ears."""
    return face.appearance.earrings and not face.traits.male and (face.traits.bald or style_of(face).ears)


def paint_clothes(face: Face, canvas: Canvas) -> None:
    """Paint a suit, a shirt, a round or a low neckline over neck and shoulders."""
    where = window(-110, 172, 110, 218)
    u, v = canvas.u[where], canvas.v[where]
    side = np.abs(u)
    body = look_up(distance_field(NECK_MALE if face.traits.male else NECK_FEMALE), canvas.index[where]) + 2.0
    outfit = face.moment.outfit
    cloth = np.array(face.moment.cloth, np.float32)
    if wears_tie(face):
        _paint_suit(face, canvas, where, u, v, side, body)
        return
    if outfit < 0.55:
        neckline = 214 - 0.012 * side * side
    elif outfit < 0.8 or face.traits.male:
        neckline = 226 - 0.62 * side
    else:
        neckline = 219.0 + 14 * bell((side - 30) / 14) - 16 * bell((side - 44) / 5)
    alpha = cover(v - neckline) * cover(body)
    shadow(canvas, 0.35 * bell((v - neckline + 1.5) / 2.5) * cover(body), where)
    paint(canvas, plane(cloth) * _folds(face, where, u), alpha, where)


def paint_earrings(face: Face, canvas: Canvas) -> None:
    """Paint a bright pendant below each ear."""
    if not wears_earrings(face):
        return
    for side in (-1, 1):
        where = window(side * 46 - 5, 130, side * 46 + 5, 148, margin=16)
        p, v = canvas.u[where] * side - 46.5, canvas.v[where]
        distance = np.sqrt(p * p + ((v - 140) * 0.55) ** 2)
        paint(canvas, (226.0, 206.0, 150.0), cover(2.2 - distance), where)
        paint(canvas, (255.0, 250.0, 236.0), bell((distance - 0.4) / 0.8) * 0.8, where)


def _folds(face: Face, where: tuple[slice, slice], u: Array) -> Array:
    folds = tile("blotch", u.shape[0], WIDTH, face.moment.scene * 11, face.moment.scene * 23)[:, where[1]]
    shade = 0.86 - 0.00004 * u * u + 0.0026 * face.moment.light_x * u + 0.05 * folds
    return np.clip(shade * face.moment.exposure, 0.3, 1.2)


def _paint_suit(
    face: Face, canvas: Canvas, where: tuple[slice, slice], u: Array, v: Array, side: Array, body: Array
) -> None:
    folds = _folds(face, where, u)
    shirt = plane((226.0, 226.0, 230.0)) * folds
    collar = cover(v - (212 - 0.42 * side)) * cover(v - (184 + 0.9 * side) - 6)
    paint(canvas, shirt, cover(v - 206 + 0.25 * side) * cover(body), where)
    paint(canvas, shirt * 1.08, collar * cover(body), where)
    tie = cover(5.5 + 0.15 * (v - 205) - side) * cover(v - 205)
    paint(canvas, plane(face.moment.cloth[::-1]) * folds * 0.9, tie, where)
    jacket = cover(side - 21 - (214 - v) * 0.35) * cover(v - (222 - 0.6 * side)) * cover(body)
    dark = np.array(face.moment.cloth, np.float32) * 0.25 + np.float32(22)
    paint(canvas, plane(dark) * folds, jacket, where)
