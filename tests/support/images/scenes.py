"""Photographs with drawn faces at known places."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image

from attgan.detection.similarity import Matrix, invert
from attgan.drawn_faces import draw, sample_face


def placement(left: float, top: float, scale: float = 1.0, degrees: float = 0.0) -> Matrix:
    """From the pixels of an aligned picture (178×218) to a photograph's: its centre is turned in place."""
    factor = scale * np.exp(1j * np.radians(degrees))
    shift = complex(left, top) + scale * complex(89, 109) - factor * complex(89, 109)
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]], np.float64
    )


def photograph(
    width: int,
    height: int,
    faces: dict[int, Matrix],
    background: tuple[int, int, int] = (96, 112, 104),
    wearers: Collection[int] = (),
) -> np.ndarray:
    """``(height, width, 3)`` uint8: drawn faces, by seed, each brought to its place; ``wearers`` have glasses."""
    scene = Image.new("RGB", (width, height), background)
    for seed, matrix in faces.items():
        picture = Image.fromarray(draw(sample_face(seed, glasses_share=float(seed in wearers))))
        # Pillow asks where each pixel comes from, and counts from pixels' corners as we do
        way = tuple(invert(matrix).reshape(-1))
        resampling = Image.Resampling.BICUBIC
        placed = picture.transform((width, height), Image.Transform.AFFINE, way, resampling)
        mask = Image.new("L", picture.size, 255).transform((width, height), Image.Transform.AFFINE, way)
        scene.paste(placed, mask=mask)
    return np.array(scene)
