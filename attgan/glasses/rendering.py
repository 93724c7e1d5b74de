"""Glasses drawn for a face: front, temples, lenses and shadows as layers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from attgan.glasses.front import Front, draw_front, hinge_side, middle_of_lens
from attgan.glasses.head import Pose, find_pose
from attgan.glasses.layers import Layers
from attgan.glasses.lenses import lens_offset, lens_reflection, lens_tint
from attgan.glasses.light import FAR_SIDE, LUMA, Light, blurred
from attgan.glasses.outline import Outline, outline_of
from attgan.glasses.shadows import shadow_of, shifted
from attgan.glasses.styles import Glasses
from attgan.glasses.temples import draw_temples, temple_path

Array = NDArray[np.floating]
DENSITY = 4  # samples per pixel, along a line
SMALLEST = 3.0  # pixels between the eyes; glasses on a smaller face cannot be seen
EAR = 1.26  # how far out ears are, on average
FAINT = 1 / 1024  # less of a shadow is none


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
        light: of the picture; an even one.

    Raises:
        ValueError: the eyes are one point, or a coordinate is no finite number.
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
    reach = _temple_reach(light, pose, rng)
    cover, lit = draw_temples(
        pose,
        glasses,
        outline,
        light,
        reach,
        ear,
        (left, top),
        DENSITY,
        (height * DENSITY, width * DENSITY),
    )
    cover *= 1 - frame
    shaded = frame * front.shade
    images = [frame, shaded, frame * front.shine, lens, edge, pads, inner, cover, cover * lit]
    if mottled:
        images += [shaded * front.dark, cover * lit * spots]
    reduced = _reduced(images)
    if not mottled:
        reduced += [np.zeros_like(reduced[0])] * 2
    return _layered(reduced, pose, glasses, outline, light, rng, top, left)


def _past_nose(
    front: Front, x: Array, y: Array, sample: float, pose: Pose, glasses: Glasses
) -> tuple[Array, ...]:
    """Coverages by frame, lenses, edges and pads, as far as the nose of a turned head leaves them to be seen."""
    parts = (front.frame, front.lens, front.edge, front.pads)
    if abs(pose.yaw) < np.radians(12):
        return parts
    z = glasses.vertex - glasses.bow * x * x - np.float32(np.tan(glasses.tilt)) * y
    seen = np.clip(pose.before_nose(x, y, z) / (3 * sample) + 0.5, 0, 1)
    return tuple(part * seen for part in parts)


def _inner_side(frame: Array, pose: Pose, glasses: Glasses) -> Array:
    """Coverage by the sides of the frame that show its depth."""
    front, back = pose.project([[0, 0, glasses.vertex], [0, 0, glasses.vertex - glasses.depth]])
    right, down = (round(float(step)) for step in (back - front) * DENSITY)
    if max(abs(right), abs(down)) < 2:
        return np.zeros_like(frame)
    # In steps that leave no gap behind thin rims.
    wide = max(0.7 * glasses.thickness * np.cos(pose.yaw) * pose.unit * DENSITY, 2.0)
    steps = min(int(np.hypot(right, down) / wide) + 1, 8)
    behind = shifted(frame, right, down)
    for step in range(1, steps):
        np.maximum(behind, shifted(frame, right * step // steps, down * step // steps), out=behind)
    return behind * (1 - frame)


def _temple_reach(light: Light, pose: Pose, rng: np.random.Generator) -> tuple[float, float]:
    """Which share of the left and right temple is seen: to the hair, or some way over it."""
    over = rng.uniform(0.1, 0.5) if rng.random() < 0.35 else 0.0
    found = []
    for side, share in zip((-1, 1), light.reach, strict=True):
        past = pose.yaw * side - FAR_SIDE
        if past > 0:
            # What looks like background may be hair: little is seen unless the head is turned far.
            found.append(float(min(share + 0.08, past / np.radians(30))))
            continue
        found.append(float(np.clip(share + over + rng.normal(0.04, 0.06), 0.08, 1)))
    return found[0], found[1]


def _layered(
    reduced: list[Array],
    pose: Pose,
    glasses: Glasses,
    outline: Outline,
    light: Light,
    rng: np.random.Generator,
    top: int,
    left: int,
) -> Layers:
    frame, shaded, shine, lens, edge, pads, inner, temple, temple_lit, darkened, temple_spots = reduced
    height, width = frame.shape
    x, y = _front_points(pose, glasses, top, left, height, width, 1)
    p, q = np.abs(x) - np.float32(middle_of_lens(glasses)), y - np.float32(glasses.drop)
    rows, columns = np.mgrid[top : top + height, left : left + width] + 0.5
    on_head = np.clip(pose.meet_head(columns, rows)[0] * 4, 0, 1).astype(np.float32)
    radiance = np.float32(light.level) * np.array(light.colour, np.float32)
    colour, second = np.array(glasses.colour, np.float32), np.array(glasses.second, np.float32)
    white = np.ones(3, np.float32)

    strength = float(rng.uniform(0.7, 1.35))
    transmittance: Array = 1 - strength * shadow_of(frame, temple, lens, x, on_head, pose, glasses, light)
    added: Array = np.zeros((height, width, 3), np.float32)

    def over(cover: Array, through: Array, own: Array) -> None:
        """Lay something over what is there: what it lets through, and its own light, already times its coverage."""
        nonlocal transmittance, added
        passed = 1 - cover[..., None] * (1 - through)
        transmittance, added = transmittance * passed, added * passed + own * radiance

    clear = (1 - np.float32(glasses.opacity)) * (0.35 + 0.65 * colour)
    mottle = 0.5 * temple_lit + glasses.mottled * 0.7 * temple_spots
    mottle = (
        np.clip(mottle, 0, temple_lit)[..., None] if glasses.mottled else np.zeros_like(temple)[..., None]
    )
    solid = np.float32(glasses.opacity)
    over(temple, clear, solid * (temple_lit[..., None] * colour + mottle * (second - colour)))
    reflected = lens_reflection(x, p, q, -outline.looked_up(p, q)[0], glasses, light, rng)
    over(lens, lens_tint(q, glasses), lens[..., None] * reflected)
    over(pads, 0.80 * white, pads[..., None] * 0.14 * white)
    over(inner, clear, solid * inner[..., None] * (0.42 * colour + 0.012))
    over(edge, 0.62 * white, edge[..., None] * np.float32(0.22) * np.array([0.9, 1.0, 0.98], np.float32))
    own = shaded[..., None] * colour + darkened[..., None] * (second - colour)
    sheen = 0.5 * colour + 0.5 if glasses.material == "metal" else white
    over(frame, clear, solid * own + shine[..., None] * sheen)

    # Glasses have sharper edges than a bare face has to measure by; reducing the samples has blurred them a little.
    soft = float(np.sqrt(max((0.7 * light.blur) ** 2 - 0.45**2, 0)))
    transmittance, added = blurred(transmittance, soft), blurred(added, soft)
    if light.noise > 0.002:
        grain = blurred(rng.standard_normal((height, width), np.float32), min(soft, 0.6))
        added = added + np.float32(light.noise) * grain[..., None] * (1 - transmittance)
    if light.saturation < 1:
        added = added + np.float32(1 - light.saturation) * ((added @ LUMA)[..., None] - added)
    if light.tones is not None:
        transmittance, added = _toned(transmittance, added, light.tones)
    transmittance[transmittance > 1 - FAINT] = 1
    added[np.abs(added) < FAINT / 4] = 0
    right, down = lens_offset(x, p, q, glasses)
    turned = (right + 1j * down) * lens * pose.scale
    offset = np.stack([turned.real, turned.imag], -1).astype(np.float32)
    return Layers(top, left, transmittance.astype(np.float32), added.astype(np.float32), offset)


def _toned(
    transmittance: Array, added: Array, tones: tuple[tuple[float, float, float], ...]
) -> tuple[Array, Array]:
    """Layers for a monochrome picture: of no colour but what it gives to each brightness."""
    passed, grey = transmittance @ LUMA, added @ LUMA
    covered = np.maximum(1 - passed, 1e-3)
    own = np.clip(grey / covered, 0, 1)
    channels = [np.float32(a) + own * (np.float32(b) + own * np.float32(c)) - own for a, b, c in tones]
    share = np.where(passed < 0.999, covered, 0)
    return np.stack([passed] * 3, -1), np.stack(
        [grey + share * np.clip(part, -0.3, 0.3) for part in channels], -1
    )


def _window(
    pose: Pose, glasses: Glasses, outline: Outline, ear: float, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what glasses and shadow can reach, within the picture."""
    side = middle_of_lens(glasses) + hinge_side(glasses, outline) + 0.05
    reach = float(outline.rim.max())
    corners = [
        [
            x,
            glasses.drop + y,
            glasses.vertex - glasses.bow * x * x - np.tan(glasses.tilt) * (glasses.drop + y),
        ]
        for x in (-side, side)
        for y in (-reach, reach)
    ]
    points = np.concatenate(
        [np.array(corners), *(temple_path(glasses, outline, side, ear) for side in (-1, 1))]
    )
    there = pose.project(points)
    margin = 0.22 * pose.unit + 2
    left, top = (int(value) for value in np.floor(there.min(0) - margin))
    right, bottom = (int(value) for value in np.ceil(there.max(0) + margin))
    return max(top, 0), max(left, 0), min(bottom, size[0]), min(right, size[1])


def _front_points(
    pose: Pose, glasses: Glasses, top: int, left: int, height: int, width: int, density: int
) -> tuple[Array, Array]:
    """Which points of the front the samples show. That changes smoothly: it is found for few of them."""
    start, end = 0.5 / density, 1 - 0.5 / density
    across = np.linspace(left + start, left + width - 1 + end, width, dtype=np.float32)
    down = np.linspace(top + start, top + height - 1 + end, height, dtype=np.float32)
    x, y = np.meshgrid(across, down)
    x, y = pose.on_front(x, y, glasses.vertex, glasses.bow, glasses.tilt)
    if density == 1:
        return x, y
    few = torch.from_numpy(np.stack([x, y]))[None]
    many = F.interpolate(few, scale_factor=density, mode="bilinear", align_corners=True)[0].numpy()
    return many[0], many[1]


def _spots(rng: np.random.Generator, shape: tuple[int, ...], length: float) -> Array:
    """Smooth noise about 0 whose blotches are about so many samples long."""
    rows, columns = (max(int(side / length) + 3, 4) for side in shape)
    size, cubic = (shape[1], shape[0]), Image.Resampling.BICUBIC
    coarse = Image.fromarray(rng.standard_normal((rows, columns), np.float32))
    fine = Image.fromarray(rng.standard_normal((3 * rows, 3 * columns), np.float32))
    return np.asarray(coarse.resize(size, cubic)) + np.float32(0.6) * np.asarray(fine.resize(size, cubic))


def _reduced(images: list[Array]) -> list[Array]:
    """Means over the samples of each pixel."""
    height, width = (side // DENSITY for side in images[0].shape)
    rows = (image.reshape(height, DENSITY, width * DENSITY).sum(1) for image in images)
    share = np.float32(DENSITY**-2)
    return [
        sum((row[:, step::DENSITY] for step in range(1, DENSITY)), row[:, ::DENSITY]) * share for row in rows
    ]
