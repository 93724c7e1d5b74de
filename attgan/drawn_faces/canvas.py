"""The canvas of a face: its pixels, and for every pixel the place on the neutral face that it shows.

Face coordinates are CelebA's aligned pixels with the origin of `u` on the symmetry axis: `u = x - 89` to the
right, `v = y` downwards. On the neutral face the eyes lie at (±20.5, 111.5), the tip of the nose at (0, 137),
the mouth at (0, 154), the chin at (0, 184). Every shape is a function of (u, v), so the pose and the
proportions of a face are one warp of these two arrays. Edges stay sharp, because nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 218, 178
AXIS = 89.0
EYE_U, EYE_V = 20.5, 111.5

# Of float32, on which the speed depends. Its stubs would make numpy's results float64.
Array = NDArray[Any]
Window = tuple[slice, slice]
# RGB, 0..255.
Colour = Sequence[float] | Array
WHOLE: Window = (slice(0, HEIGHT), slice(0, WIDTH))


@dataclass(frozen=True)
class Canvas:
    """What all painting functions share.

    pixels: (3, 218, 178) float32, RGB 0..255, painted in place. Planes first, because numpy broadcasts a mask
    over leading axes many times faster than over a last axis of three.
    u, v: (218, 178) float32, face coordinates of each pixel.
    index: (218, 178) integers, each pixel's place in the fields of `bank`.
    """

    pixels: Array
    u: Array
    v: Array
    index: NDArray[np.intp]


def window(left: float, top: float, right: float, bottom: float, margin: int = 14) -> Window:
    """The rows and columns that can show a box, in face coordinates, in any pose."""
    rows = slice(max(0, int(top) - margin), min(HEIGHT, int(bottom) + margin))
    columns = slice(max(0, int(left + AXIS) - margin), min(WIDTH, int(right + AXIS) + margin))
    return rows, columns


def cover(distance: Array, softness: float = 1.0) -> Array:
    """Antialiased coverage 0..1 of pixels at a signed distance (px, positive inside) from an edge."""
    return unit(distance * np.float32(1 / softness) + np.float32(0.5))


def unit(x: Array) -> Array:
    """x clipped to 0..1. (For small arrays np.clip takes several times as long.)"""
    return np.minimum(np.maximum(x, 0.0), 1.0)


def bell(x: Array) -> Array:
    """exp(-x²)."""
    return np.exp(-x * x)


def plane(colour: Colour) -> Array:
    """A colour as (3, 1, 1) float32."""
    return np.asarray(colour, dtype=np.float32).reshape(3, 1, 1)


def ramp(dark: Colour, middle: Colour, light: Colour, tone: Array) -> Array:
    """(3, h, w) colours for a tone (h, w): 0 dark, 0.5 middle, 1 light, clipped outside."""
    low, high = unit(tone * 2), unit(tone * 2 - 1)
    start, centre, end = plane(dark), plane(middle), plane(light)
    colours = low * (centre - start)
    colours += start
    colours += high * (end - centre)
    return colours


def blend(weights: Iterable[float], fields: Array) -> Array:
    """The weighted sum (cells,) of fields (n, cells).

    Term by term, because a matrix product of this shape starts BLAS's threads and takes twice as long.
    """
    total = np.zeros(fields.shape[1], dtype=np.float32)
    for weight, field in zip(weights, fields, strict=True):
        if weight:
            total += np.float32(weight) * field
    return total


def paint(canvas: Canvas, colour: Colour, alpha: Array, where: Window = WHOLE) -> None:
    """Paint a colour, (3,) or (3, h, w), over a window of the canvas with coverage alpha (h, w)."""
    region = canvas.pixels[:, where[0], where[1]]
    ink = colour if isinstance(colour, np.ndarray) and colour.ndim == 3 else plane(colour)
    change = ink - region
    change *= alpha
    region += change


def shadow(canvas: Canvas, amount: Array, where: Window = WHOLE) -> None:
    """Darken a window by amount (h, w), 0..1. The shadow is a little warm, as on skin."""
    region = canvas.pixels[:, where[0], where[1]]
    region *= 1.0 - amount * plane((0.88, 1.0, 1.04))
