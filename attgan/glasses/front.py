"""Rims, bridge and end pieces: which samples they cover, and how light falls on acetate and metal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.light import Light
from attgan.glasses.outline import Outline
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]
# A distance at which nothing is drawn.
FAR_AWAY = np.float32(1)


@dataclass(frozen=True)
class Front:
    """Samples, ``(h, w)`` each, 0 to 1 where nothing else is said.

    Attributes:
        frame: coverage by rims, bridge and end pieces.
        light: on the frame, which multiplies its colour; 1 in full light.
        shine: white light that the frame reflects.
        second: share of the second colour.
        lens: coverage by lenses, without what the frame covers.
        edge: coverage by the bare edge of lenses.
        pads: coverage by nose pads.
    """

    frame: Array
    light: Array
    shine: Array
    second: Array
    lens: Array
    edge: Array
    pads: Array


def middle_of_lens(glasses: Glasses) -> float:
    """Distance of a lens's middle from the middle of the nose."""
    return (glasses.width + glasses.gap) / 2


def draw_front(
    x: Array, y: Array, sample: float, glasses: Glasses, outline: Outline, light: Light, spots: Array
) -> Front:
    """Draw the front on samples, of which each shows its point (x, y).

    Args:
        x: ``(h, w)``, to the right of the picture, 0 between the eyes.
        y: ``(h, w)``, down.
        sample: the side of a sample, in units.
        glasses: what is drawn.
        outline: its curves.
        light: of the picture.
        spots: ``(h, w)``, smooth noise about 0, for mottled frames.
    """
    middle = middle_of_lens(glasses)
    p, q = np.abs(x) - np.float32(middle), y - np.float32(glasses.drop)
    # Most samples show nothing of the front: each part is only computed near its place.
    near = np.flatnonzero((np.abs(p) < outline.wide + 0.08) & (np.abs(q) < outline.tall + 0.08))
    outside, solid = np.full_like(x, FAR_AWAY), np.full_like(x, -FAR_AWAY)
    outside.ravel()[near], inside = outline.distances(p.ravel()[near], q.ravel()[near])
    solid.ravel()[near] = np.minimum(outside.ravel()[near], inside)
    nearby = np.flatnonzero(np.abs(x) < 0.5 * glasses.gap + 0.2)
    bridge = _bridge(x.ravel()[nearby], q.ravel()[nearby], glasses)
    solid.ravel()[nearby] = _joined(solid.ravel()[nearby], bridge, glasses.thickness * 0.5)
    nearby = np.flatnonzero((p > outline.side - 0.25) & (p < outline.side + 0.2))
    end = _end_piece(p.ravel()[nearby], q.ravel()[nearby], glasses, outline)
    solid.ravel()[nearby] = _joined(solid.ravel()[nearby], end, glasses.thickness * 0.4)
    metal = glasses.material == "metal"
    if glasses.mount != "none":
        # Bridge and end piece do not cover the lens.
        solid = np.minimum(solid, outside + np.float32(0.004))
    per_unit = np.float32(1 / sample)
    frame = np.clip(solid * per_unit + 0.5, 0, 1)
    lens = np.clip(0.5 - outside * per_unit, 0, 1) * (1 - frame)
    breadth = max(0.011, 0.6 * sample) if glasses.mount != "full" else 0.0
    edge = np.clip((breadth - np.abs(outside + np.float32(breadth))) * per_unit + 0.5, 0, 1) * (1 - frame)
    if glasses.mount == "full":
        edge = np.zeros_like(frame)
    pads = _pads(x, q, glasses, per_unit) * (1 - frame) if metal else np.zeros_like(frame)
    lit, shine, second = (np.zeros_like(frame) for _ in range(3))
    covered = np.flatnonzero(frame)
    bevel = max(0.5 * glasses.thickness, 0.012) if metal else min(0.35 * glasses.thickness, 0.022)
    right, down = _slopes(solid, covered, bevel)
    shade = _shade_metal if metal else _shade_acetate
    lit.ravel()[covered], shine.ravel()[covered] = shade(
        right, down, x.ravel()[covered], q.ravel()[covered], glasses, light
    )
    if glasses.rivets:
        bar = np.maximum(np.abs(p.ravel()[covered] - (outline.side - 0.035)) / 0.020, 1e-3)
        bar = np.maximum(bar, np.abs(q.ravel()[covered] - outline.hinge) / 0.008)
        shine.ravel()[covered] += np.float32(0.5) * np.clip((1.1 - bar) * 3, 0, 1)
    if glasses.mottled:
        second.ravel()[covered] = np.clip(0.62 + 0.75 * glasses.mottled * spots.ravel()[covered], 0, 1)
    return Front(frame, lit, shine, second, lens, edge, pads)


def _joined(first: Array, second: Array, soft: float) -> Array:
    """The greater of two distances, with a fillet where they meet."""
    near = np.maximum(np.float32(soft) - np.abs(first - second), 0)
    return np.maximum(first, second) + near * near * np.float32(0.25 / soft)


def _bridge(x: Array, q: Array, glasses: Glasses) -> Array:
    half = glasses.gap / 2
    height = glasses.height / 2
    metal = glasses.material == "metal"
    end = np.float32(half + (0.02 if metal else 0.05))
    share = np.clip(np.abs(x) / np.float32(half), 0, 1.4)
    if glasses.bridge == "double":
        thick = max(glasses.thickness * 0.55, 0.012)
        low = thick - np.abs(q + np.float32(0.18 * height) + np.float32(0.03) * (1 - share * share))
        high = 0.9 * thick - np.abs(q + np.float32(0.80 * height) - np.float32(0.02) * share)
        wide = np.float32(half + 0.16) - np.abs(x)
        return np.maximum(np.minimum(low, end - np.abs(x)), np.minimum(high, wide))
    thick = max(glasses.thickness * (0.55 if metal else 0.62), 0.012)
    # A saddle arches over the nose; it is thicker where it meets the rims.
    level = -(0.42 if glasses.bridge == "saddle" else 0.62) * height
    arch = (0.05 if metal else 0.035) * (1 - share * share)
    thickness = thick * (1 + (0.12 if metal else 0.55) * share * share)
    return np.minimum(thickness - np.abs(q - np.float32(level) + arch), end - np.abs(x)).astype(np.float32)


def _end_piece(p: Array, q: Array, glasses: Glasses, outline: Outline) -> Array:
    metal = glasses.material == "metal"
    thick = (
        max(0.45 * glasses.temple, 0.013) if metal else max(0.42 * glasses.temple, 0.5 * glasses.thickness)
    )
    start, end = outline.side - (0.03 if metal else 0.05), hinge_side(glasses, outline)
    if glasses.mount == "none":
        start -= 0.06
    along = np.clip(p, start, end)
    return np.float32(thick) - np.hypot(p - along, q - np.float32(outline.hinge))


def hinge_side(glasses: Glasses, outline: Outline) -> float:
    """Distance of the hinge from the lens's middle, towards the ear."""
    return outline.side + (0.035 if glasses.material == "metal" else 0.0)


def _pads(x: Array, q: Array, glasses: Glasses, per_unit: np.float32) -> Array:
    across = (np.abs(x) - np.float32(glasses.gap / 2 - 0.045) - 0.25 * (q - 0.06)) / np.float32(0.026)
    down = (q - np.float32(0.07)) / np.float32(0.065)
    level = np.sqrt(across * across + down * down)
    return np.clip((1 - level) * np.float32(0.03) * per_unit + 0.5, 0, 1)


def _slopes(solid: Array, where: NDArray[np.intp], bevel: float) -> tuple[Array, Array]:
    """Slopes of the rounded edges to the right and down, as parts of a unit vector.

    Args:
        solid: ``(h, w)``, distance from the edge, positive inside.
        where: ``(n,)``, the requested samples, as indices of the flat image.
        bevel: width of the rounding.

    Returns:
        ``(n,)`` each.
    """
    flat, width = solid.ravel(), solid.shape[1]
    last = len(flat) - 1
    right = flat[np.minimum(where + 1, last)] - flat[np.maximum(where - 1, 0)]
    down = flat[np.minimum(where + width, last)] - flat[np.maximum(where - width, 0)]
    length = np.sqrt(down * down + right * right) + np.float32(1e-6)
    slope = (1 - np.clip(flat[where] / np.float32(bevel), 0, 1)) / length
    return -right * slope, -down * slope


def _shade_acetate(
    right: Array, down: Array, x: Array, q: Array, glasses: Glasses, light: Light
) -> tuple[Array, Array]:
    """Light that multiplies the plastic's colour, and white light that its surface reflects.

    Args:
        right: slope of the surface to the right.
        down: likewise down.
        x: place on the front, to the right.
        q: likewise down.
        glasses: what is drawn.
        light: of the picture.
    """
    front = np.sqrt(np.clip(1 - right * right - down * down, 0, 1))
    lamp = np.array([0.55 * light.right, -0.62, 0.56], np.float32)
    lamp /= np.linalg.norm(lamp)
    # The front is curved: the side that faces the lamp is lighter.
    facing = (right + np.float32(0.35) * x) * lamp[0] + down * lamp[1] + front * lamp[2]
    lit = np.float32(0.40) + np.float32(0.75) * np.clip(facing, -0.35, 1)
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    mirror = np.clip((right + np.float32(0.25) * x) * half[0] + down * half[1] + front * half[2], 0, 1)
    gloss = glasses.gloss
    shine = np.float32(0.55 * gloss) * mirror ** np.float32(14 + 60 * gloss)
    # A bright part of the room on the curved front.
    surroundings = np.cos(np.float32(3.1) * (x - np.float32(0.4 * light.right)) + np.float32(1.5) * q) ** 2
    shine += np.float32(0.05 * gloss) * surroundings**4 * front
    # The sky in the upper edge, and a little of the room everywhere.
    shine += np.float32(0.03 + 0.26 * gloss) * np.clip(-down, 0, 1) ** 3 + np.float32(0.008)
    return lit, shine


def _shade_metal(
    right: Array, down: Array, x: Array, q: Array, glasses: Glasses, light: Light
) -> tuple[Array, Array]:
    """The same for metal, which colours the light that it reflects."""
    # A wire reflects its surroundings: the sky above, a dark horizon, the ground below.
    sky, ground = np.clip(-down, 0, 1), np.clip(down, 0, 1)
    lit = np.float32(0.34) + np.float32(0.85) * sky + np.float32(0.12) * ground
    # It flashes where its direction suits the lamp.
    middle = np.float32(middle_of_lens(glasses))
    angle = np.arctan2(q, x - np.sign(x) * middle)
    flash = np.cos(angle + np.float32(1.9 - 0.7 * light.right)) ** 2
    shine = np.float32(0.75 * glasses.gloss) * flash**6 * np.clip(sky + 0.25, 0, 1)
    return lit * (np.float32(0.7) + np.float32(0.5) * flash), shine + np.float32(0.02)
