"""What a face's own pixels tell of the picture it is in: light, colour, sharpness, noise, and where hair begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.head import Points, Pose, find_pose

Array = NDArray[np.floating]
FAR_SIDE = np.radians(6)  # turned as far, a head has a far side
NO_CHROMA = 2.5 / 255  # what JPEG leaves between the channels of a grey picture
MONOCHROME = 2.0 / 255  # root mean square of what brightness does not explain
COLOURFUL = 7.0 / 255  # likewise; where it is less, colours are muted
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Light:
    """How things look in one picture.

    Attributes:
        right: where light comes from: -1 from the left of the picture, 1 from the right.
        level: of light, about 1 in a well exposed photograph.
        colour: ``(3,)``, of light; its mean is 1.
        tones: of a monochrome picture: three coefficients for each channel, which is a + b·v + c·v² where the
            brightness is v; None for one in colour.
        saturation: of its colours, 1 in a usual photograph.
        blur: standard deviation of its point spread, pixels.
        noise: standard deviation, 0 to 1.
        reach: ``(2,)``: which share of the left and right temple is neither behind hair nor, on the far side of a
            turned head, behind the head; 0 to 1.
    """

    right: float = 0.0
    level: float = 1.0
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    tones: tuple[tuple[float, float, float], ...] | None = None
    saturation: float = 1.0
    blur: float = 0.5
    noise: float = 0.0
    reach: tuple[float, float] = (1.0, 1.0)


def read_light(face: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> Light:
    """Read it from the surroundings of the eyes.

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
    # Bright skin and walls have colours of their own: a part of what they show is the light's.
    colour = 1 + 0.35 * (tone - 1)
    return Light(
        right=float(np.clip(2.2 * (right - left) / max(right + left, 0.05), -1, 1)),
        level=float(np.clip(0.18 + 0.88 * bright, 0.2, 1.1)),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        tones=tones,
        saturation=saturation,
        blur=_blur(luma),
        noise=_noise(luma),
        reach=_reach(face, pose, cheeks),
    )


def _tones(around: Array, luma: Array) -> tuple[tuple[tuple[float, float, float], ...] | None, float]:
    """The colour of each brightness, if brightness alone decides on it; and how strong colours are."""
    if float((around.max(-1) - around.min(-1)).max()) < NO_CHROMA:
        return ((0.0, 1.0, 0.0),) * 3, 0.0
    value = luma.ravel()[::3].astype(np.float64)
    there = around.reshape(-1, 3)[::3]
    powers = np.stack([np.ones_like(value), value, value * value], 1)
    fitted = np.linalg.lstsq(powers, there, rcond=None)[0]
    stray = np.sqrt(((powers @ fitted - there) ** 2).mean())
    saturation = float(np.clip(stray / COLOURFUL, 0.3, 1))
    if stray > MONOCHROME:
        return None, saturation
    return tuple((float(a), float(b), float(c)) for a, b, c in fitted.T), saturation


def _cut(face: NDArray[np.uint8], middle: Points, half: float) -> NDArray[np.uint8]:
    """A square about a point, as far as it is in the picture; never empty."""
    height, width = face.shape[:2]
    half = max(half, 4)
    left, top = (int(np.clip(middle[axis] - half, 0, (width, height)[axis] - 4)) for axis in (0, 1))
    right, bottom = int(max(middle[0] + half, left + 4)), int(max(middle[1] + half, top + 4))
    return face[top:bottom, left:right]


def _patch(face: NDArray[np.uint8], point: Points, half: float) -> Array:
    """``(3,)``: the median colour about a point."""
    square = _cut(face, point, half).reshape(-1, 3)
    median: Array = np.median(square, 0).astype(np.float32) / 255
    return median


def _blur(luma: Array) -> float:
    """Of the sharpest edges, by how much blurring the picture once more weakens them."""
    if min(luma.shape) < 8:
        return 0.5
    again = blurred(luma, 1.0)
    steep, weaker = (np.hypot(*np.gradient(image)) for image in (luma, again))
    edges = steep > max(float(np.quantile(steep, 0.92)), 0.02)
    if edges.sum() < 20:
        return 0.8
    ratio = float(np.quantile(steep[edges] / np.maximum(weaker[edges], 1e-4), 0.8))
    return float(np.clip(1 / np.sqrt(max(ratio * ratio - 1, 0.05)), 0.3, 3.0))


def _noise(luma: Array) -> float:
    """By the finest diagonal differences where the picture is smooth."""
    fine = (luma[:-1, :-1] + luma[1:, 1:] - luma[:-1, 1:] - luma[1:, :-1]) / 2
    return float(np.clip(np.median(np.abs(fine)) / 0.6745, 0, 0.05))


def _reach(face: NDArray[np.uint8], pose: Pose, cheeks: list[Array]) -> tuple[float, float]:
    """How far along each temple the picture shows skin before it shows something else.

    Of the far temple of a turned head, how far it shows something else before it shows skin.
    """
    height, width = face.shape[:2]
    found = []
    for side, cheek in zip((-1, 1), cheeks, strict=True):
        steps = np.linspace(0, 1, 24)
        path = np.stack([side * (1.0 + 0.25 * steps), np.full(24, -0.10), -0.1 - 1.25 * steps], -1)
        there = pose.project(path)
        columns = np.clip(there[:, 0].astype(int), 0, width - 1)
        rows = np.clip(there[:, 1].astype(int), 0, height - 1)
        inside = (there[:, 0] >= 0) & (there[:, 0] < width)
        colours = face[rows, columns].astype(np.float32) / 255
        # Side light makes the temple's skin darker, seldom of another colour.
        luma, own = colours @ LUMA, float(cheek @ LUMA)
        chroma = np.abs((colours - luma[:, None]) - (cheek - own)).max(-1)
        skin = (luma > 0.45 * own) & (luma < 1.7 * own + 0.05) & (chroma < 0.09) & inside
        if pose.yaw * side > FAR_SIDE:
            skin = ~skin
        lost = np.convolve(~skin, np.ones(3), mode="same") >= 2
        found.append(float(steps[lost.argmax()]) if lost.any() else 1.0)
    return found[0], found[1]


def blurred(image: Array, sigma: float) -> Array:
    """``(H, W)`` or ``(H, W, C)`` under a Gaussian; beyond the edge it goes on."""
    if sigma < 0.2:
        return image
    reach = int(np.ceil(2.6 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        padded = np.pad(
            image, [(reach, reach) if k == axis else (0, 0) for k in range(image.ndim)], mode="edge"
        )
        parts = (padded[k : k + size] if axis == 0 else padded[:, k : k + size] for k in range(2 * reach + 1))
        total = np.zeros_like(image)
        for weight, part in zip(weights, parts, strict=True):
            total += weight * part
        image = total
    return image
