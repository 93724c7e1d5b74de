"""A page of glasses in many poses, to check the renderer by eye: ``python -m attgan.glasses.page PAGE.png``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from attgan.glasses.head import Points, find_pose, turned_landmarks
from attgan.glasses.rendering import put_on
from attgan.glasses.sampling import sample_glasses
from attgan.glasses.styles import STYLES, Glasses

TILE = 128
# Yaw and roll, degrees.
POSES = ((-40, 0), (-20, 0), (0, -30), (0, 0), (0, 30), (20, 0), (40, 0))
SKIN = np.array([206, 160, 134], np.float32)


def every_style(rng: np.random.Generator, count: int = 48) -> list[Glasses]:
    """``count`` random pairs, with each style in turn."""
    return [sample_glasses(rng, {STYLES[index % len(STYLES)]}) for index in range(count)]


def mannequin(landmarks: Points, side: int) -> NDArray[np.uint8]:
    """A plain head ``(side, side, 3)`` with these landmarks."""
    pose = find_pose(landmarks)
    across, down = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    root, normal = pose.intersect_head(across, down)
    lit = np.clip(0.45 + 0.6 * (normal @ np.array([0.25, -0.35, 0.9])), 0.2, 1.1)
    head = np.clip(SKIN * lit[..., None], 0, 255)
    backdrop = np.full_like(head, 150)
    picture = Image.fromarray(np.where((root > 0)[..., None], head, backdrop).astype(np.uint8))
    draw, size = ImageDraw.Draw(picture), 0.09 * pose.unit
    for x, y in landmarks[:2]:
        draw.ellipse((x - 1.6 * size, y - size, x + 1.6 * size, y + size), fill=(240, 236, 232))
        draw.ellipse((x - size, y - size, x + size, y + size), fill=(70, 50, 40))
    draw.line(
        [tuple(landmarks[3]), tuple(landmarks[4])], fill=(150, 80, 78), width=max(round(0.05 * pose.unit), 1)
    )
    x, y = landmarks[2]
    draw.ellipse((x - size, y - 0.6 * size, x + size, y + 0.6 * size), fill=(180, 130, 108))
    return np.asarray(picture)


def heads_in_poses() -> list[tuple[NDArray[np.uint8], Points]]:
    """A head in every pose, with its landmarks."""
    faces = []
    for yaw, roll in POSES:
        landmarks = turned_landmarks(
            np.radians(yaw), 0, np.radians(roll), 0.33 * TILE, (TILE / 2, 0.42 * TILE)
        )
        faces.append((mannequin(landmarks, TILE), landmarks))
    return faces


def draw_page(
    faces: Sequence[tuple[NDArray[np.uint8], Points]], glasses: Sequence[Glasses], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Every pair on every face: a row for each pair, two rows side by side.

    Args:
        faces: each ``(S, S, 3)`` uint8 with its landmarks ``(5, 2)``.
        glasses: an even number of pairs.
        rng: for reflections, mottles and noise.
    """
    rows = [
        np.concatenate([put_on(face, points, pair, rng) for face, points in faces], 1) for pair in glasses
    ]
    half = (len(rows) + 1) // 2
    return np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], 1)


def main() -> None:
    """Write the page of 48 pairs in seven poses."""
    parser = argparse.ArgumentParser(description="Draw 48 pairs of glasses in seven poses.")
    parser.add_argument("page", help="picture file to write, a PNG")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    Image.fromarray(draw_page(heads_in_poses(), every_style(rng), rng)).save(options.page)


if __name__ == "__main__":
    main()
