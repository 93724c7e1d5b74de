"""Pose and proportions of a face: the warp from the picture's pixels to the neutral face.

The warp is the inverse of the movement of the features: the displacement at a pixel is subtracted from the
pixel's place. Displacements change so slowly that this is the inverse to well under a pixel.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from attgan.drawn_faces.bank import grid_index
from attgan.drawn_faces.canvas import AXIS, EYE_V, HEIGHT, WIDTH, Array, Canvas, bell, blend, unit
from attgan.drawn_faces.face import Face


def pose(face: Face) -> Canvas:
    """An unpainted canvas with the proportions and pose of a face."""
    moment = face.moment
    x = np.arange(WIDTH, dtype=np.float32) + 0.5 - AXIS - moment.shift_x
    y = np.arange(HEIGHT, dtype=np.float32)[:, None] + 0.5 - EYE_V - moment.shift_y
    cos, sin = math.cos(moment.roll) / moment.scale, math.sin(moment.roll) / moment.scale
    u, v = cos * x + sin * y, cos * y - sin * x + EYE_V
    weights = _weights(face)
    for coordinate, (names, pushes) in zip((u, v), _pushes(), strict=True):
        coordinate -= blend((weights[name] for name in names), pushes).reshape(HEIGHT, WIDTH)
    pixels = np.empty((3, HEIGHT, WIDTH), dtype=np.float32)
    return Canvas(pixels, u, v, grid_index(u, v))


def _weights(face: Face) -> dict[str, float]:
    build, traits, moment = face.build, face.traits, face.moment
    male, old = float(traits.male), float(not traits.young)
    return {
        "width": build.face_width + 0.25 * male,
        "jaw": build.jaw * 0.8 + 1.15 * male - 0.5 + 0.25 * old,
        "chin": build.chin * 0.8 + 0.6 * male - 0.3,
        "forehead": build.forehead + 0.2 * male,
        "cheeks": build.cheeks + 0.3 * old + 0.3 * moment.smile,
        "eye gap": build.eye_gap,
        "nose length": build.nose_length + 0.3 * male + 0.2 * old,
        "nose width": build.nose_width + 0.6 * male - 0.2 + 0.2 * old,
        "mouth width": build.mouth_width + 0.2 * male,
        "mouth height": build.mouth_height,
        "yaw": moment.yaw,
        "pitch": moment.pitch,
        "jowls": old,
        "nose bend": build.nose_bend,
        "mouth skew": build.mouth_skew,
        "eye skew": build.eye_skew,
    }


@cache
def _pushes() -> tuple[tuple[tuple[str, ...], Array], tuple[tuple[str, ...], Array]]:
    """Displacements (terms, 218 * 178) in px at weight 1, across and down, each with the names of its terms."""
    u = np.broadcast_to(np.arange(WIDTH, dtype=np.float32) + 0.5 - AXIS, (HEIGHT, WIDTH))
    v = np.broadcast_to((np.arange(HEIGHT, dtype=np.float32) + 0.5)[:, None], (HEIGHT, WIDTH))

    def step(x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    side, inner = np.tanh(u / 28), np.tanh(u / 9)
    mouth = bell((v - 156) / 14)
    across = {
        "width": 3.4 * side * step((v - 45) / 10) * step((200 - v) / 8),
        "jaw": 4.0 * side * bell((v - 163) / 20),
        "cheeks": 4.2 * side * bell((v - 146) / 20),
        "eye gap": 1.5 * np.tanh(u / 14) * bell((v - EYE_V) / 20) * bell(u / 60),
        "nose width": 3.0 * inner * bell((v - 137) / 9) * bell(u / 20),
        "mouth width": 3.0 * inner * bell((v - 154) / 10) * bell(u / 26),
        "yaw": _depth(u, v),
        "jowls": 1.6 * side * bell((v - 170) / 12),
        "nose bend": 1.6 * bell((v - 136) / 16) * bell(u / 20),
        "mouth skew": 0.8 * mouth * bell(u / 30),
    }
    down = {
        "chin": 5.5 * step((v - 172) / 6) * (1 - 0.5 * step((v - 200) / 6)),
        "forehead": -6.0 * step((74 - v) / 9),
        "nose length": 3.0 * bell((v - 139) / 9) * bell(u / 20),
        "mouth height": 2.4 * bell((v - 156) / 12) * bell(u / 30),
        "pitch": _depth(u, v),
        "jowls": 1.5 * bell((v - 165) / 14) * bell((np.abs(u) - 30) / 12),
        "mouth skew": 0.9 * (u / 20) * mouth * bell(u / 26),
        "eye skew": 0.8 * (u / 20) * bell((v - 108) / 18) * bell(u / 40),
    }
    return _stacked(across), _stacked(down)


def _stacked(terms: dict[str, Array]) -> tuple[tuple[str, ...], Array]:
    return tuple(terms), np.stack(list(terms.values())).reshape(len(terms), -1).astype(np.float32)


def _depth(u: Array, v: Array) -> Array:
    """Height of the head towards the viewer, in px, 0 at the eyes. A turn shifts pixels in proportion to it."""
    skull = 34 * (1 - (u / 58) ** 2 - ((v - 118) / 110) ** 2)
    nose = 15 * bell(u / 9) * unit((v - 100) / 36) * unit((154 - v) / 12)
    eyes = 34 * (1 - (20.5 / 58) ** 2)
    # Far from the face the shift fades, so that shoulders and the ends of hair stay in the picture.
    return (skull - eyes) * bell(np.maximum(np.abs(u) - 30, 0) / 60) * bell(
        np.maximum(v - 185, 0) / 40
    ) + nose
