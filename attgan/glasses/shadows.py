"""Shadows that glasses throw on the skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.head import Pose
from attgan.glasses.light import Light, blurred
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]


def shadow_of(
    frame: Array,
    temple: Array,
    lens: Array,
    x: Array,
    on_head: Array,
    pose: Pose,
    glasses: Glasses,
    light: Light,
) -> Array:
    """``(h, w, 3)``: how much of the light on the skin frame and lenses take away."""
    unit = pose.unit
    solid = np.float32(0.35 + 0.65 * glasses.opacity)
    near = blurred(frame + 0.7 * temple, 0.018 * unit)
    near = _moved(near, -0.012 * light.right * unit, 0.022 * unit, pose)
    far = blurred(frame, 0.045 * unit)
    far = _moved(far, -0.05 * light.right * unit, 0.075 * unit, pose)
    under = np.float32(1 - np.mean([glasses.upper_tint, glasses.lower_tint]))
    dim = blurred(lens, 0.05 * unit) * under
    dim = _moved(dim, -0.05 * light.right * unit, 0.08 * unit, pose)
    total = solid * (0.34 * near + 0.26 * far) + 0.35 * dim
    # Beyond the head there is nothing for it to fall on.
    side = np.clip((1.22 - np.abs(x)) / 0.25, 0, 1) * on_head
    # Light that has gone through skin is red: shadows on it are less so.
    tone = np.array([0.92, 1.0, 1.03], np.float32)
    shadow: Array = np.clip((total * side)[..., None] * tone, 0, 0.75).astype(np.float32)
    return shadow


def _moved(image: Array, right: float, down: float, pose: Pose) -> Array:
    """An image moved along the head's own axes, by whole pixels; 0 comes in."""
    turn = pose.scale / abs(pose.scale)
    step = (right + 1j * down) * turn
    return shifted(image, round(step.real), round(step.imag))


def shifted(image: Array, dx: int, dy: int) -> Array:
    """An image moved to the right and down; 0 comes in."""
    moved = np.zeros_like(image)
    height, width = image.shape
    if abs(dx) < width and abs(dy) < height:
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = image[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return moved
