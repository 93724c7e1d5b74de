"""Rims, bridge and end pieces: how much of each sample they cover, and how light falls on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.light import Light
from attgan.glasses.outline import Outline
from attgan.glasses.shading import leaning, shade_acetate, shade_metal
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]
NOWHERE = np.float32(1)  # a distance at which nothing is


@dataclass(frozen=True)
class Front:
    """Samples, ``(h, w)`` each, 0 to 1 where nothing else is said.

    Attributes:
        frame: coverage by rims, bridge and end pieces.
        shade: of the frame's own colour, 1 in full light.
        shine: white light that the frame reflects.
        dark: share of the second colour.
        lens: coverage by lenses, without what the frame covers.
        edge: coverage by the bare edge of lenses.
        pads: coverage by nose pads.
    """

    frame: Array
    shade: Array
    shine: Array
    dark: Array
    lens: Array
    edge: Array
    pads: Array


def middle_of_lens(glasses: Glasses) -> float:
    """How far the lens's middle is from the nose's."""
    return (glasses.width + glasses.gap) / 2


def draw_front(
    x: Array, y: Array, sample: float, glasses: Glasses, outline: Outline, light: Light, spots: Array
) -> Front:
    """Draw the front on samples that show the points (x, y) of it.

    Args:
        x: ``(h, w)``, to the right of the picture, 0 between the eyes.
        y: ``(h, w)``, down.
        sample: the side of a sample, in units.
        glasses: what is drawn.
        outline: its curves.
        light: where it is drawn.
        spots: ``(h, w)``, smooth noise about 0, for mottled frames.
    """
    middle = middle_of_lens(glasses)
    p, q = np.abs(x) - np.float32(middle), y - np.float32(glasses.drop)
    # Most samples show nothing of the front: each part is only looked at where it may be.
    near = np.flatnonzero((np.abs(p) < outline.wide + 0.08) & (np.abs(q) < outline.tall + 0.08))
    outside, solid = np.full_like(x, NOWHERE), np.full_like(x, -NOWHERE)
    outside.ravel()[near], inside = outline.looked_up(p.ravel()[near], q.ravel()[near])
    solid.ravel()[near] = np.minimum(outside.ravel()[near], inside)
    there = np.flatnonzero(np.abs(x) < 0.5 * glasses.gap + 0.2)
    bridge = _bridge(x.ravel()[there], q.ravel()[there], glasses)
    solid.ravel()[there] = _joined(solid.ravel()[there], bridge, glasses.thickness * 0.5)
    there = np.flatnonzero((p > outline.side - 0.25) & (p < outline.side + 0.2))
    end = _end_piece(p.ravel()[there], q.ravel()[there], glasses, outline)
    solid.ravel()[there] = _joined(solid.ravel()[there], end, glasses.thickness * 0.4)
    metal = glasses.material == "metal"
    if glasses.mount != "none":
        # Nothing of bridge or end piece before the lens.
        solid = np.minimum(solid, outside + np.float32(0.004))
    hard = np.float32(1 / sample)
    frame = np.clip(solid * hard + 0.5, 0, 1)
    lens = np.clip(0.5 - outside * hard, 0, 1) * (1 - frame)
    breadth = max(0.011, 0.6 * sample) if glasses.mount != "full" else 0.0
    edge = np.clip((breadth - np.abs(outside + np.float32(breadth))) * hard + 0.5, 0, 1) * (1 - frame)
    if glasses.mount == "full":
        edge = np.zeros_like(frame)
    pads = _pads(x, q, glasses, hard) * (1 - frame) if metal else np.zeros_like(frame)
    shade, shine, dark = (np.zeros_like(frame) for _ in range(3))
    covered = np.flatnonzero(frame)
    bevel = max(0.5 * glasses.thickness, 0.012) if metal else min(0.35 * glasses.thickness, 0.022)
    right, down = leaning(solid, covered, bevel)
    lit = shade_metal if metal else shade_acetate
    shade.ravel()[covered], shine.ravel()[covered] = lit(
        right, down, x.ravel()[covered], q.ravel()[covered], glasses, light
    )
    if glasses.rivets:
        bar = np.maximum(np.abs(p.ravel()[covered] - (outline.side - 0.035)) / 0.020, 1e-3)
        bar = np.maximum(bar, np.abs(q.ravel()[covered] - outline.hinge) / 0.008)
        shine.ravel()[covered] += np.float32(0.5) * np.clip((1.1 - bar) * 3, 0, 1)
    if glasses.mottled:
        dark.ravel()[covered] = np.clip(0.62 + 0.75 * glasses.mottled * spots.ravel()[covered], 0, 1)
    return Front(frame, shade, shine, dark, lens, edge, pads)


def _joined(first: Array, second: Array, soft: float) -> Array:
    """The greater of two distances, with a fillet where they meet."""
    near = np.maximum(np.float32(soft) - np.abs(first - second), 0)
    return np.maximum(first, second) + near * near * np.float32(0.25 / soft)


def _bridge(x: Array, q: Array, glasses: Glasses) -> Array:
    half = glasses.gap / 2
    height = glasses.height / 2
    metal = glasses.material == "metal"
    reach = np.float32(half + (0.02 if metal else 0.05))
    share = np.clip(np.abs(x) / np.float32(half), 0, 1.4)
    if glasses.bridge == "double":
        thick = max(glasses.thickness * 0.55, 0.012)
        low = thick - np.abs(q + np.float32(0.18 * height) + np.float32(0.03) * (1 - share * share))
        high = 0.9 * thick - np.abs(q + np.float32(0.80 * height) - np.float32(0.02) * share)
        wide = np.float32(half + 0.16) - np.abs(x)
        return np.maximum(np.minimum(low, reach - np.abs(x)), np.minimum(high, wide))
    thick = max(glasses.thickness * (0.55 if metal else 0.62), 0.012)
    # A saddle arches over the nose; it is stouter where it meets the rims.
    level = -(0.42 if glasses.bridge == "saddle" else 0.62) * height
    arch = (0.05 if metal else 0.035) * (1 - share * share)
    stout = thick * (1 + (0.12 if metal else 0.55) * share * share)
    return np.minimum(stout - np.abs(q - np.float32(level) + arch), reach - np.abs(x)).astype(np.float32)


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
    """How far the hinge is from the lens's middle, towards the ear."""
    return outline.side + (0.035 if glasses.material == "metal" else 0.0)


def _pads(x: Array, q: Array, glasses: Glasses, hard: np.float32) -> Array:
    across = (np.abs(x) - np.float32(glasses.gap / 2 - 0.045) - 0.25 * (q - 0.06)) / np.float32(0.026)
    down = (q - np.float32(0.07)) / np.float32(0.065)
    level = np.sqrt(across * across + down * down)
    return np.clip((1 - level) * np.float32(0.03) * hard + 0.5, 0, 1)
