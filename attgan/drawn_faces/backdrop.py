"""The background: a wall in soft light, with panels and lights that are out of focus."""

from __future__ import annotations

from functools import cache

import numpy as np

from attgan.drawn_faces.canvas import HEIGHT, WIDTH, Array, Canvas, cover, paint, plane
from attgan.drawn_faces.face import Face

_KNOTS_X, _KNOTS_Y = 5, 6


def paint_backdrop(face: Face, canvas: Canvas) -> None:
    """Paint the background over the whole canvas."""
    rng = np.random.default_rng([face.moment.scene, 77])
    base = plane(_wall_colour(rng))
    patches = rng.normal(0, 1, (1, _KNOTS_Y, _KNOTS_X)) * 18 + rng.normal(0, 1, (3, _KNOTS_Y, _KNOTS_X)) * 4
    down, along = _spline(HEIGHT, _KNOTS_Y), _spline(WIDTH, _KNOTS_X)
    canvas.pixels[:] = down @ (base + patches.astype(np.float32)) @ along.T
    x = np.arange(WIDTH, dtype=np.float32) + 0.5
    y = np.arange(HEIGHT, dtype=np.float32)[:, None] + 0.5
    soft = (1.0, 3.0, 8.0)[int(rng.integers(3))]
    for _ in range(int(rng.integers(0, 5))):
        colour = np.clip(base + plane(rng.normal(0, 22, 3) + rng.normal(0, 48)), 4, 250)
        centre_x, centre_y = float(rng.uniform(0, WIDTH)), float(rng.uniform(0, HEIGHT))
        half_x, half_y = float(rng.uniform(4, 45)), float(rng.uniform(6, 120))
        strength, round_ = float(rng.uniform(0.3, 0.9)), rng.random() < 0.3
        if round_:
            half_y = half_x
        where = _extent(centre_y, half_y + soft, HEIGHT), _extent(centre_x, half_x + soft, WIDTH)
        dx, dy = np.abs(x[where[1]] - centre_x), np.abs(y[where[0]] - centre_y)
        if round_:
            alpha = cover(half_x - np.sqrt(dx * dx + dy * dy), soft)
        else:
            alpha = cover(half_x - dx, soft) * cover(half_y - dy, soft)
        paint(canvas, colour, alpha * strength, where)


def _wall_colour(rng: np.random.Generator) -> Array:
    grey = float(rng.uniform(16, 240))
    return np.clip(grey + rng.normal(0, (4.0, 10.0, 28.0)[int(rng.integers(3))], 3), 8, 245).astype(
        np.float32
    )


def _extent(centre: float, half: float, length: int) -> slice:
    """The pixels of a shape along one axis."""
    return slice(max(0, int(centre - half)), max(0, min(length, int(centre + half) + 2)))


@cache
def _spline(length: int, knots: int) -> Array:
    """(length, knots) weights of a cosine interpolation between knots."""
    place = np.linspace(0, knots - 1, length)
    low = np.minimum(place.astype(int), knots - 2)
    weight = (1 - np.cos(np.pi * (place - low))) / 2
    table = np.zeros((length, knots), dtype=np.float32)
    table[np.arange(length), low] = 1 - weight
    table[np.arange(length), low + 1] = weight
    return table
