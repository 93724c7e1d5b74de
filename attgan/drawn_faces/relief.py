"""The head as a height field under a light: the shading of skin.

Heights are a weighted sum of fixed parts (skull, nose, cheekbones, wrinkles, …), so their slopes are the same
sum of fixed slopes. Lambert's cosine law and a Blinn highlight (J. Blinn, 1977) turn slopes into light.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from attgan.drawn_faces.bank import grid_index, look_up, stroke_field
from attgan.drawn_faces.canvas import Array, bell, blend, unit
from attgan.drawn_faces.face import Face

# The head's own grid: cells per pixel, face coordinates of its corner, and its size in cells. It is coarse, because
# slopes change slowly and this would take most of the time of a picture.
CELLS, LEFT, TOP = 1.5, -48, 37
ROWS, COLUMNS = 226, 144

FOREHEAD_LINES = (
    ((-21.0, 75.5), (-12.0, 73.5), (-2.0, 75.0), (9.0, 74.0), (19.0, 76.0)),
    ((-27.0, 83.5), (-14.0, 80.5), (-1.0, 82.0), (13.0, 80.5), (26.0, 83.0)),
    ((-24.0, 90.0), (-13.0, 87.5), (-4.0, 88.5)),
    ((5.0, 89.0), (13.0, 87.5), (23.0, 89.5)),
)
FROWN_LINES = (((-4.0, 94.0), (-3.4, 103.0)), ((4.0, 94.0), (3.6, 103.0)))
CROWS_FEET = tuple(
    ((side * 34.0, 112.0 + start), (side * 38.0, 112.0 + (start + end) / 2), (side * 42.0, 112.0 + end))
    for side in (-1, 1)
    for start, end in ((-2.5, -6.0), (0.0, -0.5), (2.5, 5.5))
)
NOSE_FOLDS = tuple(
    ((side * 12.5, 137.0), (side * 17.0, 143.0), (side * 20.5, 150.0), (side * 22.0, 157.0))
    for side in (-1, 1)
)
MOUTH_FOLDS = tuple(((side * 19.5, 160.0), (side * 20.0, 164.0), (side * 18.5, 168.0)) for side in (-1, 1))
BAGS = tuple(
    ((side * 11.0, 118.0), (side * 16.0, 121.5), (side * 22.0, 122.5), (side * 29.0, 119.5))
    for side in (-1, 1)
)


def lit(face: Face, u: Array, v: Array) -> tuple[Array, Array]:
    """(shade, gloss) at face coordinates: light on the skin, about 1 facing the viewer, and its highlight 0..1."""
    moment = face.moment
    slopes = blend(_part_weights(face), _slopes())
    du, dv = slopes.reshape(2, ROWS, COLUMNS)
    light = np.array([moment.light_x, moment.light_y, 1.0], dtype=np.float32)
    light /= np.linalg.norm(light)
    half = light + np.array([0, 0, 1], dtype=np.float32)
    half /= np.linalg.norm(half)
    upright = 1 / np.sqrt(du * du + dv * dv + 1)
    shade = np.maximum(light[2] - light[0] * du - light[1] * dv, 0)
    shade *= upright
    shade *= (1 - moment.ambient) / max(float(light[2]), 0.6)
    shade += moment.ambient
    # The outline of a head reflects less, whatever the light.
    shade *= 0.74 + 0.26 * upright
    gloss = np.maximum(half[2] - half[0] * du - half[1] * dv, 0)
    gloss *= upright
    # To the power of 16.
    for _ in range(4):
        gloss *= gloss
    shade *= 1 - blend(_darkness_weights(face), _darkness()).reshape(shade.shape)
    index = np.clip((v - TOP) * CELLS, 0, ROWS - 1).astype(np.intp) * COLUMNS
    index += np.clip((u - LEFT) * CELLS, 0, COLUMNS - 1).astype(np.intp)
    return shade.reshape(-1).take(index), gloss.reshape(-1).take(index)


def age_of(face: Face) -> float:
    """0 for the young, else the depth of the lines of age, 0.65..1."""
    return 0.0 if face.traits.young else 0.65 + 0.35 * face.appearance.age


def _part_weights(face: Face) -> tuple[float, ...]:
    """The weights of the parts of :func:`_slopes`, in their order."""
    traits, build, smile = face.traits, face.build, face.moment.smile
    male, old = float(traits.male), age_of(face)
    brow_ridge = 0.4 + 0.6 * male
    nose = 1.0 + 0.15 * male + 0.2 * build.nose_width
    cheekbones = 0.7 + 0.7 * smile + 0.25 * build.cheeks
    chin = 1.0 + 0.3 * male
    nose_folds = 0.25 + 0.55 * smile + 1.1 * old
    bags = 0.25 + 1.3 * old
    lines = 1.2 * old
    return 1.0, brow_ridge, nose, cheekbones, chin, nose_folds, bags, lines


def _darkness_weights(face: Face) -> tuple[float, ...]:
    """The weights of the terms of :func:`_darkness`, in their order."""
    smile, old = face.moment.smile, age_of(face)
    return 1.0, 0.06 + 0.16 * smile + 0.28 * old, 0.08 + 0.26 * old, 0.27 * old


@cache
def _slopes() -> Array:
    """(parts, 2 * cells): slope of each part along u and v."""
    u, v, lines, folds, bags = _places()
    side = np.abs(u)
    round_ = 1 - (u / 51) ** 2 - ((v - 114) / 92) ** 2
    skull = 46 * np.sqrt(np.maximum(round_, 0.02))
    brows = 3.4 * bell((v - 98) / 7) * _twin(u, 18, 13) - 2.0 * bell((v - 104) / 7) * bell(u / 7)
    sockets = -5.0 * _twin(u, 19, 11) * bell((v - 110) / 8) + 2.4 * bell((side - 20.5) / 9) * bell(
        (v - 112) / 6
    )
    bridge = unit((v - 97) / 40) ** 1.2 / (1 + np.exp((v - 139.5) / 2.6))
    nose = 8.5 * bell(u / (5.2 + 1.6 * unit((v - 120) / 18))) * bridge
    nose += 3.8 * bell(u / 6.5) * bell((v - 135) / 6.5) + 2.8 * bell((side - 8.8) / 3.6) * bell((v - 137) / 5)
    cheeks = 4.2 * _twin(u, 27, 12) * bell((v - 131) / 12) - 3.0 * bell((side - 33) / 9) * bell(
        (v - 152) / 12
    )
    lips = 1.6 * bell(u / 15) * bell((v - 150) / 3) + 2.2 * bell(u / 13) * bell((v - 159) / 4)
    lips -= 1.6 * bell(u / 13) * bell((v - 166) / 3.5) + 0.8 * bell(u / 2) * bell((v - 146) / 4)
    chin = 4.2 * bell(u / 12) * bell((v - 175) / 8)
    forehead = 1.8 * _twin(u, 14, 15) * bell((v - 76) / 14)
    parts = (
        skull + sockets + lips + forehead - 2.0 * bell((side - 41) / 8) * bell((v - 92) / 12),
        brows,
        nose,
        cheeks,
        chin,
        -1.6 * folds,
        -1.2 * bags + 1.4 * bell((side - 20) / 9) * bell((v - 119) / 3),
        -1.5 * lines,
    )
    slopes = [np.stack([np.gradient(part, axis=1), np.gradient(part, axis=0)]) * CELLS for part in parts]
    return np.stack(slopes).reshape(len(parts), -1).astype(np.float32)


@cache
def _darkness() -> Array:
    """(terms, cells): darkness of sockets and nostrils, and below nose and lip; of folds; of bags; of lines."""
    u, v, lines, folds, bags = _places()
    side = np.abs(u)
    fixed = 0.2 * bell((side - 10) / 5) * bell((v - 107) / 7) + 0.12 * bell((side - 21) / 14) * bell(
        (v - 104) / 4
    )
    fixed += 0.66 * bell((side - 5.4) / 2.6) * bell((v - 141.2 + 0.15 * side) / 1.5)
    fixed += 0.2 * bell((side - 12) / 1.7) * bell((v - 137) / 4.5)
    fixed += 0.1 * bell(u / 9) * bell((v - 145) / 3) + 0.2 * bell(u / 11) * bell((v - 166.5) / 2.6)
    fixed += 0.16 * bell((side - 18) / 4) * bell((v - 155) / 4)
    return np.stack([np.minimum(fixed, 0.85), folds, bags, lines]).reshape(4, -1).astype(np.float32)


def _twin(u: Array, place: float, width: float) -> Array:
    """Two equal bells at ±place; smooth on the axis, as a bell of |u| would not be."""
    return bell((u - place) / width) + bell((u + place) / width)


def _places() -> tuple[Array, Array, Array, Array, Array]:
    """u, v and the soft strokes of the lines of age, of the nose folds and of the bags, over the head's cells."""
    u = np.broadcast_to((np.arange(COLUMNS) + 0.5) / CELLS + LEFT, (ROWS, COLUMNS)).astype(np.float32)
    v = np.broadcast_to((np.arange(ROWS)[:, None] + 0.5) / CELLS + TOP, (ROWS, COLUMNS)).astype(np.float32)
    index = grid_index(u, v)
    lines = look_up(stroke_field(FOREHEAD_LINES + FROWN_LINES + CROWS_FEET, 0.6, 0.9), index)
    lines = np.maximum(lines, 0.5 * look_up(stroke_field(MOUTH_FOLDS, 0.8, 1.3), index))
    folds, bags = (
        look_up(stroke_field(*stroke), index) for stroke in ((NOSE_FOLDS, 1.2, 1.6), (BAGS, 1.2, 1.3))
    )
    return u, v, lines, folds, bags
