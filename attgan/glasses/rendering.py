"""Glasses rendered on a face: its pose and light are read, and the parts drawn with several samples per pixel."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from attgan.glasses.front import Front, draw_front, hinge_side, middle_of_lens
from attgan.glasses.head import Pose, find_pose
from attgan.glasses.layers import Layers, Parts, compose, layers_of, shifted
from attgan.glasses.light import FAR_SIDE, Light, read_light
from attgan.glasses.outline import Outline, outline_of
from attgan.glasses.styles import Glasses
from attgan.glasses.temples import draw_temples, temple_path

Array = NDArray[np.floating]
# Samples per pixel, along a line.
DENSITY = 4
# Pixels between the eyes. On a smaller face glasses cannot be seen.
SMALLEST = 3.0
# Mean distance of an ear from the middle of the head.
EAR = 1.26


def put_on(
    face: NDArray[np.uint8], landmarks: NDArray[np.floating], glasses: Glasses, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The face wearing the glasses. Pixels without glasses and without their shadow stay equal to the bit.

    Args:
        face: ``(H, W, 3)`` uint8, RGB.
        landmarks: ``(5, 2)``: left eye, right eye, nose, left and right corner of the mouth, as the viewer sees them,
            in pixels; the outer corner of the first pixel is (0, 0).
        glasses: to put on.
        rng: for reflections, mottles and noise.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ValueError: the eyes are one point, or a coordinate is not finite.
    """
    height, width = face.shape[:2]
    return compose(face, render(landmarks, (height, width), glasses, rng, read_light(face, landmarks)))


def render(
    landmarks: NDArray[np.floating],
    size: tuple[int, int],
    glasses: Glasses,
    rng: np.random.Generator,
    light: Light | None = None,
) -> Layers:
    """The layers of glasses on a face with these landmarks.

    Args:
        landmarks: ``(5, 2)``, see :func:`put_on`.
        size: height and width of the picture.
        glasses: to draw.
        rng: for reflections, mottles and noise.
        light: of the picture; None for even light.

    Raises:
        ValueError: the eyes are one point, or a coordinate is not finite.
    """
    light = light or Light()
    pose, outline = find_pose(landmarks), outline_of(glasses)
    ear = float(np.clip(rng.normal(EAR, 0.07), 1.1, 1.45))
    top, left, bottom, right = _window(pose, glasses, outline, ear, size)
    height, width = bottom - top, right - left
    if height <= 1 or width <= 1 or pose.unit < SMALLEST:
        nothing = np.zeros((0, 0, 3), np.float32)
        return Layers(0, 0, nothing, nothing, nothing[..., :2])
    x, y = _front_points(pose, glasses, top, left, height, width, DENSITY)
    sample = 1 / (DENSITY * pose.unit)
    mottled = glasses.mottled > 0
    spots = _spots(rng, x.shape, 0.10 * pose.unit * DENSITY) if mottled else np.zeros_like(x)
    front = draw_front(x, y, sample, glasses, outline, light, spots)
    frame, lens, edge, pads = _past_nose(front, x, y, sample, pose, glasses)
    inner = _inner_side(frame, pose, glasses)
    visible = _visible_temples(light, pose, rng)
    temple, temple_light = draw_temples(
        pose, glasses, outline, light, visible, ear, (left, top), DENSITY, x.shape
    )
    temple *= 1 - frame
    frame_light = frame * front.light
    images = [frame, frame_light, frame * front.shine, lens, edge, pads, inner, temple, temple * temple_light]
    if mottled:
        images += [frame_light * front.second, temple * temple_light * spots]
    means = _pixel_means(images)
    if not mottled:
        means += [np.zeros_like(means[0])] * 2
    x, y = _front_points(pose, glasses, top, left, height, width, 1)
    return layers_of(Parts(*means), x, y, pose, glasses, outline, light, rng, top, left)


def _past_nose(
    front: Front, x: Array, y: Array, sample: float, pose: Pose, glasses: Glasses
) -> tuple[Array, ...]:
    """Coverages by frame, lenses, edges and pads, without what the nose of a turned head hides."""
    parts = (front.frame, front.lens, front.edge, front.pads)
    if abs(pose.yaw) < np.radians(12):
        return parts
    z = glasses.vertex - glasses.bow * x * x - np.float32(np.tan(glasses.tilt)) * y
    seen = np.clip(pose.past_nose(x, y, z) / (3 * sample) + 0.5, 0, 1)
    return tuple(part * seen for part in parts)


def _inner_side(frame: Array, pose: Pose, glasses: Glasses) -> Array:
    """Coverage by the sides of the frame that show its depth."""
    front, back = pose.project([[0, 0, glasses.vertex], [0, 0, glasses.vertex - glasses.depth]])
    right, down = (round(float(step)) for step in (back - front) * DENSITY)
    if max(abs(right), abs(down)) < 2:
        return np.zeros_like(frame)
    # In steps small enough to leave no gap behind thin rims.
    width = max(0.7 * glasses.thickness * np.cos(pose.yaw) * pose.unit * DENSITY, 2.0)
    steps = min(int(np.hypot(right, down) / width) + 1, 8)
    behind = shifted(frame, right, down)
    for step in range(1, steps):
        np.maximum(behind, shifted(frame, right * step // steps, down * step // steps), out=behind)
    return behind * (1 - frame)


def _visible_temples(light: Light, pose: Pose, rng: np.random.Generator) -> tuple[float, float]:
    """The visible shares of the left and the right temple: up to the hair, or sometimes over it."""
    over = rng.uniform(0.1, 0.5) if rng.random() < 0.35 else 0.0
    shares = []
    for side, share in zip((-1, 1), light.temples, strict=True):
        past = pose.yaw * side - FAR_SIDE
        if past > 0:
            # What looks like background may be hair: little is visible unless the head is turned far.
            shares.append(float(min(share + 0.08, past / np.radians(30))))
            continue
        shares.append(float(np.clip(share + over + rng.normal(0.04, 0.06), 0.08, 1)))
    return shares[0], shares[1]


def _window(
    pose: Pose, glasses: Glasses, outline: Outline, ear: float, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the part of the picture that glasses and shadow can change."""
    side = middle_of_lens(glasses) + hinge_side(glasses, outline) + 0.05
    half = float(outline.rim.max())
    corners = [
        [
            x,
            glasses.drop + y,
            glasses.vertex - glasses.bow * x * x - np.tan(glasses.tilt) * (glasses.drop + y),
        ]
        for x in (-side, side)
        for y in (-half, half)
    ]
    points = np.concatenate(
        [np.array(corners), *(temple_path(glasses, outline, side, ear) for side in (-1, 1))]
    )
    pixels = pose.project(points)
    margin = 0.22 * pose.unit + 2
    left, top = (int(value) for value in np.floor(pixels.min(0) - margin))
    right, bottom = (int(value) for value in np.ceil(pixels.max(0) + margin))
    return max(top, 0), max(left, 0), min(bottom, size[0]), min(right, size[1])


def _front_points(
    pose: Pose, glasses: Glasses, top: int, left: int, height: int, width: int, density: int
) -> tuple[Array, Array]:
    """Which points of the front the samples show: computed for pixels, and interpolated for samples."""
    start, end = 0.5 / density, 1 - 0.5 / density
    across = np.linspace(left + start, left + width - 1 + end, width, dtype=np.float32)
    down = np.linspace(top + start, top + height - 1 + end, height, dtype=np.float32)
    x, y = np.meshgrid(across, down)
    x, y = pose.on_front(x, y, glasses.vertex, glasses.bow, glasses.tilt)
    if density == 1:
        return x, y
    pixels = torch.from_numpy(np.stack([x, y]))[None]
    samples = F.interpolate(pixels, scale_factor=density, mode="bilinear", align_corners=True)[0].numpy()
    return samples[0], samples[1]


def _spots(rng: np.random.Generator, shape: tuple[int, ...], length: float) -> Array:
    """Smooth noise about 0, with blotches of about ``length`` samples."""
    rows, columns = (max(int(side / length) + 3, 4) for side in shape)
    size, cubic = (shape[1], shape[0]), Image.Resampling.BICUBIC
    coarse = Image.fromarray(rng.standard_normal((rows, columns), np.float32))
    fine = Image.fromarray(rng.standard_normal((3 * rows, 3 * columns), np.float32))
    return np.asarray(coarse.resize(size, cubic)) + np.float32(0.6) * np.asarray(fine.resize(size, cubic))


def _pixel_means(images: list[Array]) -> list[Array]:
    """Means over the samples of each pixel."""
    height, width = (side // DENSITY for side in images[0].shape)
    rows = (image.reshape(height, DENSITY, width * DENSITY).sum(1) for image in images)
    share = np.float32(DENSITY**-2)
    return [
        sum((row[:, step::DENSITY] for step in range(1, DENSITY)), row[:, ::DENSITY]) * share for row in rows
    ]
