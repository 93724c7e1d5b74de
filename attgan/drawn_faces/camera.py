"""The camera: white balance, contrast, vignette, focus and grain."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from attgan.drawn_faces.bank import tile
from attgan.drawn_faces.canvas import HEIGHT, WIDTH, Array, Canvas, plane
from attgan.drawn_faces.face import Face

_SHARP, _BLURRY = 0.2, 0.75


def photograph(face: Face, canvas: Canvas) -> NDArray[np.uint8]:
    """The photograph (218, 178, 3) uint8 RGB of the painted canvas, which is written to."""
    moment = face.moment
    pixels = canvas.pixels
    if moment.blur > _SHARP:
        pixels = _soften(pixels, 0.2 * moment.blur)
    if is_blurry(face):
        pixels = _soften(_soften(_soften(pixels, 0.3), 0.3), 0.3)
    gain = moment.contrast * plane((1 + 0.05 * moment.warmth, 1.0, 1 - 0.07 * moment.warmth))
    # Contrast is changed around a middle grey, 112.
    pixels *= gain
    pixels += np.float32(112 * (1 - moment.contrast))
    pixels *= _vignette()
    row, column = moment.scene * 173 + 11, moment.scene * 97 + 5
    grain = tile("grain", HEIGHT, WIDTH, row, column)
    pixels += moment.noise * grain
    pixels[0] += 0.5 * moment.noise * tile("grain", HEIGHT, WIDTH, row + 101, column + 33)
    pixels[2] += 0.6 * moment.noise * tile("grain", HEIGHT, WIDTH, row + 257, column + 171)
    pixels += np.float32(0.5)
    np.clip(pixels, 0, 255, out=pixels)
    return np.ascontiguousarray(pixels.astype(np.uint8).transpose(1, 2, 0))


def is_blurry(face: Face) -> bool:
    """Whether the picture is out of focus."""
    return face.moment.blur > _BLURRY


def _soften(pixels: Array, share: float) -> Array:
    """Give `share` of each pixel to its neighbour on either side, along rows and then columns."""
    keep, give = np.float32(1 - 2 * share), np.float32(share)
    soft = pixels * keep
    around = pixels[:, :, :-2] + pixels[:, :, 2:]
    around *= give
    soft[:, :, 1:-1] += around
    soft[:, :, [0, -1]] += 2 * give * pixels[:, :, [0, -1]]
    out = soft * keep
    around = soft[:, :-2] + soft[:, 2:]
    around *= give
    out[:, 1:-1] += around
    out[:, [0, -1]] += 2 * give * soft[:, [0, -1]]
    return out


@cache
def _vignette() -> Array:
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    return 1 - 0.07 * (x * x + y * y)
