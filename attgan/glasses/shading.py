"""How light falls on acetate and on metal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.light import Light
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]


def leaning(solid: Array, where: NDArray[np.intp], bevel: float) -> tuple[Array, Array]:
    """How far rounded edges lean to the right and down, as parts of a unit vector.

    Args:
        solid: ``(h, w)``, distance from the edge, positive inside.
        where: ``(n,)``, the samples asked for, as indices of the flat image.
        bevel: how broad the rounding is.

    Returns:
        ``(n,)`` each.
    """
    flat, width = solid.ravel(), solid.shape[1]
    last = len(flat) - 1
    right = flat[np.minimum(where + 1, last)] - flat[np.maximum(where - 1, 0)]
    down = flat[np.minimum(where + width, last)] - flat[np.maximum(where - width, 0)]
    length = np.sqrt(down * down + right * right) + np.float32(1e-6)
    lean = (1 - np.clip(flat[where] / np.float32(bevel), 0, 1)) / length
    return -right * lean, -down * lean


def shade_acetate(
    right: Array, down: Array, x: Array, q: Array, glasses: Glasses, light: Light
) -> tuple[Array, Array]:
    """Light that the plastic's colour is multiplied by, and white light that its surface mirrors.

    Args:
        right: how far the surface leans to the right.
        down: likewise down.
        x: place on the front, to the right.
        q: likewise down.
        glasses: of which it is.
        light: that falls on it.
    """
    front = np.sqrt(np.clip(1 - right * right - down * down, 0, 1))
    lamp = np.array([0.55 * light.right, -0.62, 0.56], np.float32)
    lamp /= np.linalg.norm(lamp)
    # The front is curved: the side that faces the lamp is lighter.
    facing = (right + np.float32(0.35) * x) * lamp[0] + down * lamp[1] + front * lamp[2]
    shade = np.float32(0.40) + np.float32(0.75) * np.clip(facing, -0.35, 1)
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    mirror = np.clip((right + np.float32(0.25) * x) * half[0] + down * half[1] + front * half[2], 0, 1)
    gloss = glasses.gloss
    shine = np.float32(0.55 * gloss) * mirror ** np.float32(14 + 60 * gloss)
    # A bright part of the room on the curved front.
    room = np.cos(np.float32(3.1) * (x - np.float32(0.4 * light.right)) + np.float32(1.5) * q) ** 2
    shine += np.float32(0.05 * gloss) * room**4 * front
    # The sky in the upper edge, and a little of the room everywhere.
    shine += np.float32(0.03 + 0.26 * gloss) * np.clip(-down, 0, 1) ** 3 + np.float32(0.008)
    return shade, shine


def shade_metal(
    right: Array, down: Array, x: Array, q: Array, glasses: Glasses, light: Light
) -> tuple[Array, Array]:
    """The same for metal, whose mirrored light takes on its colour."""
    # A wire mirrors what is around it: the sky above, a dark horizon, the ground below.
    sky, ground = np.clip(-down, 0, 1), np.clip(down, 0, 1)
    shade = np.float32(0.34) + np.float32(0.85) * sky + np.float32(0.12) * ground
    # And it flashes where its direction suits the lamp.
    middle = np.float32((glasses.width + glasses.gap) / 2)
    angle = np.arctan2(q, x - np.sign(x) * middle)
    flash = np.cos(angle + np.float32(1.9 - 0.7 * light.right)) ** 2
    shine = np.float32(0.75 * glasses.gloss) * flash**6 * np.clip(sky + 0.25, 0, 1)
    return shade * (np.float32(0.7) + np.float32(0.5) * flash), shine + np.float32(0.02)
