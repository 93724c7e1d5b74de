"""Glasses put on a face, as layers over it or at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from attgan.glasses.front import Front, draw_front, hinge_side, middle_of_lens
from attgan.glasses.head import Pose, find_pose
from attgan.glasses.lenses import lens_offset, lens_reflection, lens_tint
from attgan.glasses.light import FAR_SIDE, LUMA, Light, blurred, read_light
from attgan.glasses.outline import Outline, outline_of
from attgan.glasses.styles import Glasses
from attgan.glasses.temples import draw_temples, temple_path

Array = NDArray[np.floating]
DENSITY = 4  # samples per pixel, along a line
SMALLEST = 3.0  # pixels between the eyes; glasses on a smaller face cannot be seen
EAR = 1.26  # how far out ears are, on average
FAINT = 1 / 1024  # less of a shadow is none


@dataclass(frozen=True)
class Layers:
    """What glasses do to a face: worn = bent face × transmittance + added, all 0 to 1.

    Attributes:
        top: row of the picture where the layers begin.
        left: likewise the column; beyond the layers nothing changes.
        transmittance: ``(h, w, 3)`` float32, what is left of the face.
        added: ``(h, w, 3)`` float32, light of the glasses themselves.
        offset: ``(h, w, 2)`` float32, in pixels to the right and down: where the light of a pixel comes from, seen
            from its own place.
    """

    top: int
    left: int
    transmittance: Array
    added: Array
    offset: Array


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


def compose(face: NDArray[np.uint8], layers: Layers) -> NDArray[np.uint8]:
    """A face ``(H, W, 3)`` uint8 under layers, likewise."""
    worn = face.copy()
    height, width = layers.transmittance.shape[:2]
    if not (height and width):
        return worn
    band = (slice(layers.top, layers.top + height), slice(layers.left, layers.left + width))
    below = face[band].astype(np.float32)
    rows, columns = np.nonzero(np.abs(layers.offset).max(-1) > 0.02)
    if len(rows):
        below[rows, columns] = _sampled(face, layers, rows, columns)
    result = below * layers.transmittance + 255 * layers.added
    worn[band] = np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return worn


def _sampled(
    face: NDArray[np.uint8], layers: Layers, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Array:
    """The face where the offsets point, by bilinear interpolation: ``(n, 3)``."""
    right, down = layers.offset[rows, columns].T
    x = np.clip(columns + layers.left + right, 0, face.shape[1] - 1)
    y = np.clip(rows + layers.top + down, 0, face.shape[0] - 1)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, face.shape[1] - 1), np.minimum(y0 + 1, face.shape[0] - 1)
    fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
    above = face[y0, x0] * (1 - fx) + face[y0, x1] * fx
    below = face[y1, x0] * (1 - fx) + face[y1, x1] * fx
    sampled: Array = (above * (1 - fy) + below * fy).astype(np.float32)
    return sampled


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
    behind = _shifted(frame, right, down)
    for step in range(1, steps):
        np.maximum(behind, _shifted(frame, right * step // steps, down * step // steps), out=behind)
    return behind * (1 - frame)


def _temple_reach(light: Light, pose: Pose, rng: np.random.Generator) -> tuple[float, float]:
    """Which share of the left and right temple is seen: to the hair, or some way over it."""
    over = rng.uniform(0.1, 0.5) if rng.random() < 0.35 else 0.0
    found = []
    for side, share in zip((-1, 1), light.reach, strict=True):
        past = pose.yaw * side - FAR_SIDE
        if past > 0:
            # What looks like background may be hair: little is seen unless the head is turned far.
            found.append(float(min(share + 0.08, past / np.radians(20))))
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
    transmittance: Array = 1 - strength * _shadow(frame, temple, lens, x, on_head, pose, glasses, light)
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
    # What lies behind the outer part of a lens that is turned away is nearer to it.
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


def _shadow(
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
    return _shifted(image, round(step.real), round(step.imag))


def _shifted(image: Array, dx: int, dy: int) -> Array:
    moved = np.zeros_like(image)
    height, width = image.shape
    if abs(dx) < width and abs(dy) < height:
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = image[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return moved


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
