"""The light, colours, sharpness and noise of a picture, measured around the eyes, and where hair hides the temples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.head import Points, Pose, find_pose

Array = NDArray[np.floating]
# A head turned by more than this hides the temple of its far side.
FAR_SIDE = np.radians(6)
# The largest difference between the channels of a grey picture, which JPEG causes.
GREY = 2.5 / 255
# Colour that brightness does not explain, root mean square: a monochrome picture has less than the first, a picture of
# usual saturation more than the second.
MONOCHROME, COLOURFUL = 2.0 / 255, 7.0 / 255
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Light:
    """The look of one picture.

    Attributes:
        right: direction of the light: -1 from the left of the picture, 1 from the right.
        level: brightness of the light, about 1 in a well exposed photograph.
        colour: ``(3,)``, of the light; its mean is 1.
        tones: of a monochrome picture: coefficients (a, b, c) for each channel, whose value is a + b·v + c·v² at
            brightness v. None for a picture in colour.
        saturation: of the picture's colours, 1 in a usual photograph.
        blur: standard deviation of the point spread, in pixels.
        noise: standard deviation, 0 to 1.
        temples: ``(2,)``, 0 to 1: the share of the left and the right temple that neither hair nor, on the far side of
            a turned head, the head hides.
    """

    right: float = 0.0
    level: float = 1.0
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    tones: tuple[tuple[float, float, float], ...] | None = None
    saturation: float = 1.0
    blur: float = 0.5
    noise: float = 0.0
    temples: tuple[float, float] = (1.0, 1.0)


def read_light(face: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> Light:
    """Measure the light of a picture around the eyes.

    Args:
        face: ``(H, W, 3)`` uint8, RGB.
        landmarks: ``(5, 2)``, in its pixels.
    """
    pose = find_pose(landmarks)
    points = np.asarray(landmarks, np.float64)
    unit = pose.unit
    middle = points.mean(0)
    around = _cut(face, middle, 1.5 * unit).astype(np.float32) / 255
    luma = around @ LUMA
    tones, saturation = _tones(around, luma)
    cheeks = [_patch(face, pose.project([side * 0.62, 0.55, -0.05]), 0.16 * unit) for side in (-1, 1)]
    left, right = (float(cheek @ LUMA) for cheek in cheeks)
    bright = float(np.quantile(luma, 0.95))
    lit = around[luma >= bright].mean(0)
    tone = lit / max(float(lit.mean()), 0.05)
    # Bright skin and walls have colours of their own, so only a part of their tone is the light's.
    colour = 1 + 0.35 * (tone - 1)
    return Light(
        right=float(np.clip(2.2 * (right - left) / max(right + left, 0.05), -1, 1)),
        level=float(np.clip(0.18 + 0.88 * bright, 0.2, 1.1)),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        tones=tones,
        saturation=saturation,
        blur=_blur(luma),
        noise=_noise(luma),
        temples=_temples(face, pose, cheeks),
    )


def _tones(around: Array, luma: Array) -> tuple[tuple[tuple[float, float, float], ...] | None, float]:
    """The ``tones`` and ``saturation`` of :class:`Light`."""
    if float((around.max(-1) - around.min(-1)).max()) < GREY:
        return ((0.0, 1.0, 0.0),) * 3, 0.0
    value = luma.ravel()[::3].astype(np.float64)
    colours = around.reshape(-1, 3)[::3]
    powers = np.stack([np.ones_like(value), value, value * value], 1)
    fitted = np.linalg.lstsq(powers, colours, rcond=None)[0]
    deviation = np.sqrt(((powers @ fitted - colours) ** 2).mean())
    saturation = float(np.clip(deviation / COLOURFUL, 0.3, 1))
    if deviation > MONOCHROME:
        return None, saturation
    return tuple((float(a), float(b), float(c)) for a, b, c in fitted.T), saturation


def _cut(face: NDArray[np.uint8], middle: Points, half: float) -> NDArray[np.uint8]:
    """The part of a square around a point that is in the picture; never empty."""
    height, width = face.shape[:2]
    half = max(half, 4)
    left, top = (int(np.clip(middle[axis] - half, 0, (width, height)[axis] - 4)) for axis in (0, 1))
    right, bottom = int(max(middle[0] + half, left + 4)), int(max(middle[1] + half, top + 4))
    return face[top:bottom, left:right]


def _patch(face: NDArray[np.uint8], point: Points, half: float) -> Array:
    """``(3,)``: the median colour around a point."""
    square = _cut(face, point, half).reshape(-1, 3)
    median: Array = np.median(square, 0).astype(np.float32) / 255
    return median


def _blur(luma: Array) -> float:
    """The picture's blur, by how much its sharpest edges lose when it is blurred once more."""
    if min(luma.shape) < 8:
        return 0.5
    blurrier = blurred(luma, 1.0)
    slopes, weaker = (np.hypot(*np.gradient(image)) for image in (luma, blurrier))
    edges = slopes > max(float(np.quantile(slopes, 0.92)), 0.02)
    if edges.sum() < 20:
        return 0.8
    ratio = float(np.quantile(slopes[edges] / np.maximum(weaker[edges], 1e-4), 0.8))
    return float(np.clip(1 / np.sqrt(max(ratio * ratio - 1, 0.05)), 0.3, 3.0))


def _noise(luma: Array) -> float:
    """The picture's noise, by its finest diagonal differences: the median is that of smooth areas."""
    fine = (luma[:-1, :-1] + luma[1:, 1:] - luma[:-1, 1:] - luma[1:, :-1]) / 2
    return float(np.clip(np.median(np.abs(fine)) / 0.6745, 0, 0.05))


def _temples(face: NDArray[np.uint8], pose: Pose, cheeks: list[Array]) -> tuple[float, float]:
    """The visible share of each temple: how far along it the picture shows skin, until hair begins.

    On the far side of a turned head, how far it shows anything but skin, until the head begins.
    """
    height, width = face.shape[:2]
    shares = []
    for side, cheek in zip((-1, 1), cheeks, strict=True):
        steps = np.linspace(0, 1, 24)
        path = np.stack([side * (1.0 + 0.25 * steps), np.full(24, -0.10), -0.1 - 1.25 * steps], -1)
        pixels = pose.project(path)
        columns = np.clip(pixels[:, 0].astype(int), 0, width - 1)
        rows = np.clip(pixels[:, 1].astype(int), 0, height - 1)
        inside = (pixels[:, 0] >= 0) & (pixels[:, 0] < width)
        colours = face[rows, columns].astype(np.float32) / 255
        # Light from one side makes the temple's skin darker, and rarely changes its colour.
        luma, own = colours @ LUMA, float(cheek @ LUMA)
        chroma = np.abs((colours - luma[:, None]) - (cheek - own)).max(-1)
        skin = (luma > 0.45 * own) & (luma < 1.7 * own + 0.05) & (chroma < 0.09) & inside
        if pose.yaw * side > FAR_SIDE:
            skin = ~skin
        # Hidden where two of three neighbours are.
        hidden = np.convolve(~skin, np.ones(3), mode="same") >= 2
        shares.append(float(steps[hidden.argmax()]) if hidden.any() else 1.0)
    return shares[0], shares[1]


def blurred(image: Array, sigma: float) -> Array:
    """``(H, W)`` or ``(H, W, C)`` under a Gaussian; the outermost pixels are repeated beyond the edges."""
    if sigma < 0.2:
        return image
    radius = int(np.ceil(2.6 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        padded = np.pad(
            image, [(radius, radius) if k == axis else (0, 0) for k in range(image.ndim)], mode="edge"
        )
        parts = (
            padded[k : k + size] if axis == 0 else padded[:, k : k + size] for k in range(2 * radius + 1)
        )
        total = np.zeros_like(image)
        for weight, part in zip(weights, parts, strict=True):
            total += weight * part
        image = total
    return image
