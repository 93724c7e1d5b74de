"""Glasses put on a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.layers import compose
from attgan.glasses.light import read_light
from attgan.glasses.rendering import render
from attgan.glasses.styles import Glasses


def put_on(
    face: NDArray[np.uint8], landmarks: NDArray[np.floating], glasses: Glasses, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The face wearing the glasses; pixels that neither they nor their shadow reach stay as they are.

    Args:
        face: ``(H, W, 3)`` uint8, RGB.
        landmarks: ``(5, 2)``: left eye, right eye, nose, left and right corner of the mouth, as seen in the picture, in
            its pixels; the outer corner of the first one is (0, 0).
        glasses: to put on.
        rng: for reflections, mottles and noise.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ValueError: the eyes are one point, or a coordinate is no finite number.
    """
    height, width = face.shape[:2]
    return compose(face, render(landmarks, (height, width), glasses, rng, read_light(face, landmarks)))
