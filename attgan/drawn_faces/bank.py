"""Fields over the neutral face, computed once per process: distances to contours, and textures.

A field is a float32 array (GRID_ROWS, GRID_COLUMNS), two cells per pixel, over u in [-110, 110) and
v in [-20, 240). Contours are a few points set by hand, rounded by a Catmull-Rom spline.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from attgan.drawn_faces.canvas import Array

LEFT, TOP, CELLS = -110, -20, 2
GRID_ROWS, GRID_COLUMNS = 260 * CELLS, 220 * CELLS
TEXTURE, REPEAT = 512, 220

Contour = tuple[tuple[float, float], ...]


def grid_index(u: Array, v: Array) -> NDArray[np.intp]:
    """Flat indices of the cells at face coordinates (u, v); outside the grid, those of its border."""
    columns = np.clip((u - LEFT) * CELLS, 0, GRID_COLUMNS - 1).astype(np.intp)
    rows = np.clip((v - TOP) * CELLS, 0, GRID_ROWS - 1).astype(np.intp)
    return rows * GRID_COLUMNS + columns


def look_up(field: Array, index: NDArray[np.intp]) -> Array:
    """The field's values at `grid_index` places."""
    return field.reshape(-1).take(index)


def mirrored(half: Contour) -> Contour:
    """A closed symmetric contour, from its right half in order from top to bottom."""
    return half + tuple((-u, v) for u, v in reversed(half) if u > 0)


@cache
def distance_field(contour: Contour) -> Array:
    """Signed distance (px, positive inside) to a closed contour, over the grid."""
    outline = _rounded(contour).astype(np.float32)
    # Every second pixel is enough: the contours are smooth, and so is the distance from them.
    step = 2
    u = np.arange(LEFT, LEFT + GRID_COLUMNS // CELLS + step, step, dtype=np.float32)
    v = np.arange(TOP, TOP + GRID_ROWS // CELLS + step, step, dtype=np.float32)[:, None]
    nearest = np.full((len(v), len(u)), np.inf, dtype=np.float32)
    inside = np.zeros(nearest.shape, dtype=bool)
    for (x, y), (along, down) in zip(outline, np.roll(outline, -1, axis=0) - outline, strict=True):
        place = ((u - x) * along + (v - y) * down) / max(along * along + down * down, np.float32(1e-6))
        place = np.minimum(np.maximum(place, 0), 1)
        dx, dy = u - x - place * along, v - y - place * down
        np.minimum(nearest, dx * dx + dy * dy, out=nearest)
        # A point is inside if a ray to its right crosses the outline an odd number of times.
        crossed = (y > v) != (y + down > v)
        if crossed.any():
            inside ^= crossed & (u < x + (v - y) * (along / (down or np.float32(1))))
    distance = np.sqrt(nearest)
    return _enlarged(np.where(inside, distance, -distance), step)


@cache
def stroke_field(lines: tuple[Contour, ...], width: float, blur: float) -> Array:
    """Soft strokes (0..1) along open lines, `width` and `blur` in pixels, over the grid."""
    image = Image.new("L", (GRID_COLUMNS * 2, GRID_ROWS * 2))
    draw, scale = ImageDraw.Draw(image), CELLS * 2
    for line in lines:
        path = [((x - LEFT) * scale, (y - TOP) * scale) for x, y in _rounded(line, closed=False)]
        draw.line(path, fill=255, width=max(1, round(width * scale)), joint="curve")
    soft = image.reduce(2).filter(ImageFilter.GaussianBlur(blur * CELLS))
    field = np.asarray(soft, dtype=np.float32)
    return field / max(float(field.max()), 1.0)


@cache
def texture(kind: str) -> Array:
    """A (512, 512) noise texture that tiles, its beginning repeated to (732, 732); mean 0, deviation 1.

    kind: "grain" (independent cells), "blotch" (soft patches), "strand" (each row is a strand of hair, so values
    change slowly along rows and quickly from row to row), "curl" (rounded tufts).
    """
    rng = np.random.default_rng([20170711, len(kind), ord(kind[0])])
    white = rng.standard_normal((TEXTURE, TEXTURE))
    if kind == "grain":
        noise = white
    elif kind == "blotch":
        noise = _smooth(white, 12, 12) * 12 + _smooth(white[::-1], 5, 5) * 4 + _smooth(white.T, 2, 2) * 1.2
    elif kind == "strand":
        noise = _smooth(white, 1.6, 40) * 7 + _smooth(white[::-1], 5, 60) * 18 + _smooth(white.T, 14, 90) * 31
    else:
        noise = np.abs(_smooth(white, 3.0, 3.0)) * -6 + _smooth(white.T, 9, 9) * 5
    noise = (noise - noise.mean()) / noise.std()
    return np.pad(noise, (0, REPEAT), mode="wrap").astype(np.float32)


def sample(kind: str, rows: Array, columns: Array) -> Array:
    """A texture's values at fractional places (nearest cell, tiling)."""
    place = rows.astype(np.int32) & (TEXTURE - 1)
    place *= TEXTURE + REPEAT
    place += columns.astype(np.int32) & (TEXTURE - 1)
    return texture(kind).reshape(-1).take(place)


def tile(kind: str, height: int, width: int, row: int, column: int) -> Array:
    """A view (height, width), each at most 220, of a texture, starting at (row, column); tiling."""
    row, column = row % TEXTURE, column % TEXTURE
    return texture(kind)[row : row + height, column : column + width]


def _rounded(points: Contour, closed: bool = True, samples: int = 6) -> NDArray[np.float64]:
    """Catmull-Rom spline through the points (E. Catmull, R. Rom, 1974)."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        t = np.linspace(0, 1, samples, endpoint=False)[:, None]
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    curve = np.concatenate(pieces)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def _enlarged(coarse: NDArray[np.float32], step: int) -> Array:
    """Bilinear interpolation of samples every `step` pixels onto the grid's cell centres."""
    axes: Sequence[int] = (GRID_ROWS, GRID_COLUMNS)
    field = coarse
    for axis, cells in enumerate(axes):
        place = (np.arange(cells) + 0.5) / CELLS / step
        low = np.floor(place).astype(int)
        weight = (place - low).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight[None, :]
        field = field.take(low, axis) * (1 - weight) + field.take(low + 1, axis) * weight
    return np.ascontiguousarray(field, dtype=np.float32)


def _smooth(noise: NDArray[np.float64], down: float, along: float) -> NDArray[np.float64]:
    """Gaussian smoothing of a tiling texture, by its spectrum."""
    rows = np.fft.fftfreq(noise.shape[0])[:, None]
    columns = np.fft.fftfreq(noise.shape[1])[None, :]
    transfer = np.exp(-2 * np.pi**2 * ((rows * down) ** 2 + (columns * along) ** 2))
    return np.fft.ifft2(np.fft.fft2(noise) * transfer).real
