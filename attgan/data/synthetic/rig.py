"""Pose and build: the warp from the picture's pixels to the neutral face.

The warp is written backwards, as the place each pixel shows: shapes are small against the features they
move, so subtracting the forward displacement at the pixel itself is its inverse to well under a pixel.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from attgan.data.synthetic.bank import grid_index
from attgan.data.synthetic.canvas import AXIS, EYE_V, HEIGHT, WIDTH, Array, Canvas, bell, unit
from attgan.data.synthetic.face import Face


def pose(face: Face) -> Canvas:
    """An unpainted canvas on which the face has its build and pose."""
    moment = face.moment
    x = np.arange(WIDTH, dtype=np.float32) + 0.5 - AXIS - moment.shift_x
    y = np.arange(HEIGHT, dtype=np.float32)[:, None] + 0.5 - EYE_V - moment.shift_y
    cos, sin = math.cos(moment.roll) / moment.scale, math.sin(moment.roll) / moment.scale
    u, v = cos * x + sin * y, cos * y - sin * x + EYE_V
    weights = np.array(_weights(face), dtype=np.float32)
    push = (weights @ _pushes()).reshape(2, HEIGHT, WIDTH)
    u -= push[0]
    v -= push[1]
    pixels = np.empty((3, HEIGHT, WIDTH), dtype=np.float32)
    return Canvas(pixels, u, v, grid_index(u, v))


def _weights(face: Face) -> tuple[float, ...]:
    build, traits, moment = face.build, face.traits, face.moment
    male, old = float(traits.male), float(not traits.young)
    return (
        build.face_width + 0.25 * male,
        build.jaw * 0.8 + 1.15 * male - 0.5 + 0.25 * old,
        build.chin * 0.8 + 0.6 * male - 0.3,
        build.forehead + 0.2 * male,
        build.cheeks + 0.3 * old + 0.3 * moment.smile,
        build.eye_gap,
        build.nose_length + 0.3 * male + 0.2 * old,
        build.nose_width + 0.6 * male - 0.2 + 0.2 * old,
        build.mouth_width + 0.2 * male,
        build.mouth_height,
        moment.yaw,
        moment.pitch,
        old,
        build.nose_bend,
        build.mouth_skew,
        build.eye_skew,
    )


@cache
def _pushes() -> Array:
    """(terms, 2 * 218 * 178): forward displacements (du, dv) in px at weight 1, on the neutral face."""
    u = np.broadcast_to(np.arange(WIDTH, dtype=np.float32) + 0.5 - AXIS, (HEIGHT, WIDTH))
    v = np.broadcast_to((np.arange(HEIGHT, dtype=np.float32) + 0.5)[:, None], (HEIGHT, WIDTH))
    zero = np.zeros((HEIGHT, WIDTH), dtype=np.float32)

    def step(x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    side, inner = np.tanh(u / 28), np.tanh(u / 9)
    head = step((v - 45) / 10) * step((200 - v) / 8)
    depth = _depth(u, v)
    terms = (
        (3.4 * side * head, zero),
        (4.0 * side * bell((v - 163) / 20), zero),
        (zero, 5.5 * step((v - 172) / 6) * (1 - 0.5 * step((v - 200) / 6))),
        (zero, -6.0 * step((74 - v) / 9)),
        (4.2 * side * bell((v - 146) / 20), zero),
        (1.5 * np.tanh(u / 14) * bell((v - EYE_V) / 20) * bell(u / 60), zero),
        (zero, 3.0 * bell((v - 139) / 9) * bell(u / 20)),
        (3.0 * inner * bell((v - 137) / 9) * bell(u / 20), zero),
        (3.0 * inner * bell((v - 154) / 10) * bell(u / 26), zero),
        (zero, 2.4 * bell((v - 156) / 12) * bell(u / 30)),
        (depth, zero),
        (zero, depth),
        (1.6 * side * bell((v - 170) / 12), 1.5 * bell((v - 165) / 14) * bell((np.abs(u) - 30) / 12)),
        (1.6 * bell((v - 136) / 16) * bell(u / 20), zero),
        (0.8 * bell((v - 156) / 14) * bell(u / 30), 0.9 * (u / 20) * bell((v - 156) / 14) * bell(u / 26)),
        (zero, 0.8 * (u / 20) * bell((v - 108) / 18) * bell(u / 40)),
    )
    return np.stack([np.stack(term) for term in terms]).reshape(len(terms), -1).astype(np.float32)


def _depth(u: Array, v: Array) -> Array:
    """Height of the head towards the viewer, px, 0 at the eyes: what a turn shifts sideways."""
    skull = 34 * (1 - (u / 58) ** 2 - ((v - 118) / 110) ** 2)
    nose = 15 * bell(u / 9) * unit((v - 100) / 36) * unit((154 - v) / 12)
    eyes = 34 * (1 - (20.5 / 58) ** 2)
    # Far from the face the shift fades out, so that shoulders and hair ends stay in the picture.
    return (skull - eyes) * bell(np.maximum(np.abs(u) - 30, 0) / 60) * bell(
        np.maximum(v - 185, 0) / 40
    ) + nose
