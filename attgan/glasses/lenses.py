"""Lenses: their tint, their reflections, and how their outer part bends what is seen through them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.light import Light
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]


def _step(values: Array, start: float, end: float) -> Array:
    """0 at start, 1 at end, smooth between; ``end`` may be below ``start``."""
    share = np.clip((values - np.float32(start)) / np.float32(end - start), 0, 1)
    return share * share * (3 - 2 * share)


def lens_tint(q: Array, glasses: Glasses) -> Array:
    """``(h, w, 3)``: the share of light that the lens lets through."""
    half = glasses.height / 2
    share = _step(q, -0.5 * half, 0.9 * half)[..., None]
    upper, lower = np.array(glasses.upper_tint, np.float32), np.array(glasses.lower_tint, np.float32)
    return upper + share * (lower - upper)


def lens_reflection(
    x: Array, p: Array, q: Array, inside: Array, glasses: Glasses, light: Light, rng: np.random.Generator
) -> Array:
    """``(h, w, 3)``: light that the lens reflects: sheen of its coating, windows and lamps, in sunglasses the sky."""
    width, height = glasses.width / 2, glasses.height / 2
    across, down = p * np.sign(x) / np.float32(width), q / np.float32(height)
    lamp = -0.35 if light.right < 0 else 0.35
    sheen = np.exp(
        -(((across - rng.normal(lamp, 0.4)) / 0.7) ** 2) - ((down - rng.normal(-0.3, 0.4)) / 0.6) ** 2
    )
    total: Array = np.float32(glasses.sheen) * sheen[..., None] * np.array(glasses.coating, np.float32)
    window = _window(across, down, rng)
    tone = np.array([0.93, 0.97, 1.0], np.float32)
    total = total + np.float32(0.42 * glasses.glare**1.5) * window[..., None] * tone
    if not glasses.sunglasses:
        # A strong lens reflects its own edge as a ring.
        ring = np.exp(-(((inside - 0.045) / 0.016) ** 2)) * np.clip(0.4 + across * lamp * 2, 0, 1)
        total = total + np.float32(min(0.012 * abs(glasses.power), 0.07)) * ring[..., None]
    if glasses.sunglasses:
        horizon = float(rng.uniform(-0.2, 0.5))
        sky = _step(down + 0.1 * across * across, horizon + 0.25, -1.0)
        ground = 0.35 * _step(down, horizon, 1.1)
        strength = np.float32(0.05 + 0.10 * glasses.glare + 0.45 * glasses.mirror)
        skies = np.array([0.78, 0.90, 1.0], np.float32)
        if glasses.mirror:
            skies = np.array(glasses.coating, np.float32)
        total = total + strength * (
            sky[..., None] * skies + ground[..., None] * np.array([0.9, 0.85, 0.75], np.float32)
        )
    return total.astype(np.float32)


def _window(across: Array, down: Array, rng: np.random.Generator) -> Array:
    """A lit window or soft lamp, bent by the lens's curvature, the same in both lenses but for a shift."""
    x0, y0 = rng.uniform(-0.6, 0.6), rng.uniform(-0.75, 0.0)
    w, h = rng.uniform(0.18, 0.55), rng.uniform(0.15, 0.5)
    lean, soft = rng.normal(0, 0.35), rng.uniform(0.04, 0.22)
    bent = across - np.float32(x0) + np.float32(lean) * (down - np.float32(y0))
    tall = down - np.float32(y0) + np.float32(0.25) * across * across
    patch = _step(w - np.abs(bent), -soft, soft) * _step(h - np.abs(tall), -soft, soft)
    if rng.random() < 0.4:
        # Bars of the window.
        patch = patch * (1 - 0.7 * _step(0.05 - np.abs(bent + 0.05), -0.03, 0.03))
    return patch


def lens_offset(x: Array, p: Array, q: Array, glasses: Glasses) -> tuple[Array, Array]:
    """Offset, in units to the right and down, of the point that is seen through the lens at each place.

    It is 0 except in the outer third, where the side of the head is far behind the lens: eyes and brows stay in place.
    """
    half = glasses.height / 2
    outer = np.clip(p - np.float32(0.30 * glasses.width), 0, None)
    calm = _step(q, -0.6 * half, -0.1 * half)
    bend = np.float32(-0.045 * glasses.power) * outer * calm
    # The left lens bends the other way.
    return bend * np.sign(x) * np.float32(2.2), 0.3 * bend * q / np.float32(half)
