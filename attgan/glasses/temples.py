"""The temples, from the hinges back to the ears, without what head and hair hide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from attgan.glasses.front import hinge_side, middle_of_lens
from attgan.glasses.head import Points, Pose
from attgan.glasses.light import Light
from attgan.glasses.outline import Outline
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]
EAR_HEIGHT, EAR_DEPTH = -0.08, -1.38
STEPS = 72


def temple_path(glasses: Glasses, outline: Outline, side: int, ear: float) -> Points:
    """``(STEPS, 3)``: the middle line of the temple on the left (-1) or right (1); ``ear``: distance of the ear."""
    middle = middle_of_lens(glasses)
    x = middle + hinge_side(glasses, outline)
    y = glasses.drop + outline.hinge
    z = glasses.vertex - glasses.bow * x * x - np.tan(glasses.tilt) * y
    end = np.array([max(ear, x + 0.03), 0.4 * y + 0.6 * EAR_HEIGHT, EAR_DEPTH])
    share = np.linspace(0, 1, STEPS)[:, None]
    path = np.array([x, y, z]) * (1 - share) + end * share
    # It bows outwards a little, and bends down over the ear.
    path[:, 0] += 0.03 * np.sin(np.pi * share[:, 0])
    path[:, 1] += 0.10 * np.clip(share[:, 0] - 0.85, 0, 1)
    path[:, 0] *= side
    return path


def draw_temples(
    pose: Pose,
    glasses: Glasses,
    outline: Outline,
    light: Light,
    visible: tuple[float, float],
    ear: float,
    origin: tuple[float, float],
    density: int,
    size: tuple[int, int],
) -> tuple[Array, Array]:
    """Coverage by temples and the light on them, ``(h, w)`` each.

    Args:
        pose: of the head.
        glasses: what is drawn.
        outline: its curves.
        light: of the picture.
        visible: share of the left and the right temple that is drawn, unless the head hides it.
        ear: distance of the ears from the middle of the head.
        origin: x and y of the samples' upper left corner, in pixels.
        density: samples per pixel, along a line.
        size: height and width of the samples.
    """
    height, width = size
    cover, shade = (Image.new("L", (width, height)) for _ in range(2))
    paint_cover, paint_shade = ImageDraw.Draw(cover), ImageDraw.Draw(shade)
    half = glasses.temple / 2
    thick = max(0.35 * glasses.depth, 0.012)
    for side, share in zip((-1, 1), visible, strict=True):
        path = temple_path(glasses, outline, side, ear)
        steps = np.linspace(0, 1, STEPS)
        seen = np.clip((share - steps) / 0.10 + 0.5, 0, 1) * (1 - pose.hidden(path, ear))
        # Behind its first hidden point, a temple stays hidden.
        seen = np.minimum.accumulate(seen)
        tapered = half * (1 - 0.25 * steps)
        corners = [
            path + np.stack([np.full(STEPS, side * across), down * tapered, np.zeros(STEPS)], -1)
            for across, down in ((thick, -1), (thick, 1), (-thick, 1), (-thick, -1))
        ]
        edges = [(pose.project(corner) - origin) * density for corner in corners]
        lit = 0.75 + 0.3 * side * light.right
        # Faces of the bar: outer, lower, inner, upper. Those that face away are painted first.
        faces = [(0, 1, lit), (1, 2, 0.45), (2, 3, 0.4), (3, 0, 1.15)]
        outwards = pose.yaw * side < 0.0
        order = [2, 1, 3, 0] if outwards else [0, 1, 3, 2]
        for step in range(STEPS - 1, 0, -1):
            coverage = round(255 * seen[step])
            if coverage < 4:
                continue
            for face in order:
                first, second, face_light = faces[face]
                quad = [
                    tuple(edges[first][step - 1]),
                    tuple(edges[first][step]),
                    tuple(edges[second][step]),
                    tuple(edges[second][step - 1]),
                ]
                paint_cover.polygon(quad, fill=coverage)
                paint_shade.polygon(quad, fill=int(np.clip(face_light * 150, 0, 255)))
    return np.asarray(cover, np.float32) / 255, np.asarray(shade, np.float32) / 150
