"""The curves of a lens and its rim, seen from the front, as distances from the lens's middle by direction.

The right lens in the picture; the other is its mirror image. x points to the ear, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]
DIRECTIONS = 1024


@dataclass(frozen=True)
class Outline:
    """Tables over :data:`DIRECTIONS` directions, from -π to π.

    Attributes:
        lens: distance of the lens's edge from its middle.
        rim: distance of the rim's outer edge.
        cosine: of the angle between the edge's normal and the direction. It turns differences along the direction into
            distances from the edge.
        hinge: height at which end piece and temple begin.
        side: extent of the rim towards the ear, at the hinge.
        tall: largest extent of the rim up or down.
        wide: largest extent of the rim to either side.
    """

    lens: Array
    rim: Array
    cosine: Array
    hinge: float
    side: float
    tall: float
    wide: float

    def distances(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Distances of points from the lens's edge (positive outside) and the rim's outer edge (positive inside)."""
        radius = np.sqrt(x * x + y * y)
        index = ((np.arctan2(y, x) + np.float32(np.pi)) * np.float32(DIRECTIONS / (2 * np.pi))).astype(
            np.int32
        )
        index &= DIRECTIONS - 1
        cosine = self.cosine[index]
        return (radius - self.lens[index]) * cosine, (self.rim[index] - radius) * cosine


def outline_of(glasses: Glasses) -> Outline:
    """The curves of a pair's right lens."""
    angle = (np.arange(DIRECTIONS) + 0.5) * (2 * np.pi / DIRECTIONS) - np.pi
    lens = _by_direction(*_curve(glasses), angle)
    lens = _smooth(lens, 5)
    slope = (np.roll(lens, -1) - np.roll(lens, 1)) / (4 * np.pi / DIRECTIONS)
    cosine = 1 / np.sqrt(1 + (slope / lens) ** 2)
    x, y = lens * np.cos(angle), lens * np.sin(angle)
    rim = lens + _thickness(glasses, x, y) / cosine
    half = glasses.height / 2
    heights = {"Round": -0.30, "Aviator": -0.62, "Oval": -0.35}
    hinge = half * heights.get(glasses.shape, -0.6) - 0.6 * glasses.lift
    if glasses.mount == "none":
        hinge = half * (-0.35)
    near = np.abs(rim * np.sin(angle) - hinge) < 0.08
    side = float((rim * np.cos(angle))[near].max())
    tall, wide = float(np.abs(rim * np.sin(angle)).max()), float(np.abs(rim * np.cos(angle)).max())
    return Outline(
        lens.astype(np.float32), rim.astype(np.float32), cosine.astype(np.float32), hinge, side, tall, wide
    )


def _curve(glasses: Glasses) -> tuple[Array, Array]:
    """Points of the lens's edge, in order."""
    t = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    power = 2 / glasses.corners
    # A superellipse, -1 to 1.
    x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    y = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    low, nasal, outer = np.maximum(y, 0), np.maximum(-x, 0), np.maximum(x, 0)
    across, down = x.copy(), y.copy()
    if glasses.shape == "Aviator":
        # A drop: flat above, hanging down on the outer side.
        down = np.where(y < 0, 0.84 * y, 1.1 * y) + 0.10 * low * x
        across = x + 0.30 * low**1.5 * nasal + 0.05 * low - 0.06 * low * outer
    elif glasses.shape == "Wayfarer":
        across = x * (1 - 0.13 * (y + 1) / 2) + 0.10 * low * nasal
        down = np.where(y < 0, 0.95 * y, y)
    elif glasses.shape == "Cat_Eye":
        across = x * (1 - 0.14 * (y + 1) / 2) + 0.12 * low * nasal
        down = np.where(y < 0, 0.92 * y, y * (1 - 0.08 * outer))
    elif glasses.shape in {"Rectangle", "Oval"}:
        across = x + 0.07 * low * nasal
    px, py = across * glasses.width / 2, down * glasses.height / 2
    # The upper edge rises to the outer side.
    py = py - glasses.lift * np.clip((1 - y) / 2, 0, 1) * (0.5 + 0.5 * x) ** 1.4 * 1.3
    return px, py


def _thickness(glasses: Glasses, x: Array, y: Array) -> Array:
    """Thickness of the rim at the points of the lens's edge."""
    height, width = glasses.height / 2, glasses.width / 2
    if glasses.mount == "none":
        return np.zeros_like(x)
    above = np.clip(0.5 - 0.9 * y / height, 0, 1)
    thick = glasses.thickness * (1 + (glasses.brow - 1) * above)
    outer = np.clip(x / width, 0, 1)
    if glasses.shape == "Wayfarer":
        thick = thick * (1 + 0.55 * outer**2 * above)
    if glasses.shape == "Cat_Eye" and glasses.material == "acetate":
        thick = thick * (1 + 0.9 * outer**4 * above)
    if glasses.mount == "half":
        ends = np.clip((0.30 * height - y) / (0.45 * height), 0, 1)
        thick = thick * ends * ends * (3 - 2 * ends)
    return thick


def _by_direction(x: Array, y: Array, angle: Array) -> Array:
    """Distances of a curve from the origin, at the given directions."""
    directions = np.arctan2(y, x)
    order = np.argsort(directions)
    radius: Array = np.interp(angle, directions[order], np.hypot(x, y)[order], period=2 * np.pi)
    return radius


def _smooth(values: Array, radius: int) -> Array:
    kernel = np.hanning(2 * radius + 3)[1:-1]
    kernel /= kernel.sum()
    smoothed: Array = np.convolve(np.pad(values, radius, mode="wrap"), kernel, mode="valid")
    return smoothed
