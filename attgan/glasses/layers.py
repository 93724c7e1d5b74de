"""Layers over a face: what each pixel of glasses takes of its light and adds to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attgan.glasses.front import middle_of_lens
from attgan.glasses.head import Pose
from attgan.glasses.lenses import lens_offset, lens_reflection, lens_tint
from attgan.glasses.light import LUMA, Light, blurred
from attgan.glasses.outline import Outline
from attgan.glasses.styles import Glasses

Array = NDArray[np.floating]
# Shadows that take less light than this are dropped.
MIN_SHADOW = 1 / 1024


@dataclass(frozen=True)
class Layers:
    """What glasses do to a face: worn = bent face × transmittance + added, all 0 to 1.

    Attributes:
        top: row of the picture where the layers begin.
        left: likewise the column; beyond the layers nothing changes.
        transmittance: ``(h, w, 3)`` float32, the share of the face's light that remains.
        added: ``(h, w, 3)`` float32, light of the glasses themselves.
        offset: ``(h, w, 2)`` float32, in pixels to the right and down: where the light of a pixel comes from, relative
            to the pixel.
    """

    top: int
    left: int
    transmittance: Array
    added: Array
    offset: Array


@dataclass(frozen=True)
class Parts:
    """The parts of glasses as drawn, ``(h, w)`` each: means over the samples of each pixel.

    Attributes:
        frame: coverage by rims, bridge and end pieces, 0 to 1.
        frame_light: the frame's coverage times the light on it.
        frame_shine: white light that the frame reflects.
        lens: coverage by lenses.
        edge: coverage by the bare edge of lenses.
        pads: coverage by nose pads.
        inner: coverage by the sides of the frame that show its depth.
        temple: coverage by temples.
        temple_light: the temples' coverage times the light on them.
        frame_second: like ``frame_light``, of the second colour of a mottled frame.
        temple_spots: ``temple_light`` times smooth noise about 0, for mottled temples.
    """

    frame: Array
    frame_light: Array
    frame_shine: Array
    lens: Array
    edge: Array
    pads: Array
    inner: Array
    temple: Array
    temple_light: Array
    frame_second: Array
    temple_spots: Array


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
        below[rows, columns] = _bent(face, layers, rows, columns)
    result = below * layers.transmittance + 255 * layers.added
    worn[band] = np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return worn


def _bent(
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


def layers_of(
    parts: Parts,
    x: Array,
    y: Array,
    pose: Pose,
    glasses: Glasses,
    outline: Outline,
    light: Light,
    rng: np.random.Generator,
    top: int,
    left: int,
) -> Layers:
    """Lay the parts over one another, as one picture shows them.

    Args:
        parts: as drawn.
        x: ``(h, w)``, which points of the front the pixels show, to the right.
        y: likewise down.
        pose: of the head.
        glasses: what is drawn.
        outline: its curves.
        light: of the picture.
        rng: for reflections, shadows and noise.
        top: row of the picture where the layers begin.
        left: likewise the column.
    """
    height, width = parts.frame.shape
    # The place in a lens, from its middle.
    p, q = np.abs(x) - np.float32(middle_of_lens(glasses)), y - np.float32(glasses.drop)
    rows, columns = np.mgrid[top : top + height, left : left + width] + 0.5
    on_head = np.clip(pose.intersect_head(columns, rows)[0] * 4, 0, 1).astype(np.float32)
    strength = float(rng.uniform(0.7, 1.35))
    transmittance: Array = 1 - strength * _shadow(parts, x, on_head, pose, glasses, light)
    added: Array = np.zeros((height, width, 3), np.float32)
    inside = -outline.distances(p, q)[0]
    reflected = lens_reflection(x, p, q, inside, glasses, light, rng)
    radiance = np.float32(light.level) * np.array(light.colour, np.float32)
    for cover, through, own in _stack(parts, q, reflected, glasses):
        passed = 1 - cover[..., None] * (1 - through)
        transmittance, added = transmittance * passed, added * passed + own * radiance
    transmittance, added = _as_photographed(transmittance, added, light, rng)
    right, down = lens_offset(x, p, q, glasses)
    turned = (right + 1j * down) * parts.lens * pose.scale
    offset = np.stack([turned.real, turned.imag], -1).astype(np.float32)
    return Layers(top, left, transmittance.astype(np.float32), added.astype(np.float32), offset)


def _stack(
    parts: Parts, q: Array, reflected: Array, glasses: Glasses
) -> list[tuple[Array, Array | np.floating, Array]]:
    """The parts from the skin outwards: coverage, what the part lets through, and its own light times its coverage."""
    colour, second = np.array(glasses.colour, np.float32), np.array(glasses.second, np.float32)
    opacity, white = np.float32(glasses.opacity), np.ones(3, np.float32)
    through_frame = (1 - opacity) * (0.35 + 0.65 * colour)
    if glasses.mottled:
        second_share = 0.5 * parts.temple_light + glasses.mottled * 0.7 * parts.temple_spots
        second_share = np.clip(second_share, 0, parts.temple_light)[..., None]
    else:
        second_share = np.zeros_like(parts.temple)[..., None]
    temple = opacity * (parts.temple_light[..., None] * colour + second_share * (second - colour))
    inner = opacity * parts.inner[..., None] * (0.42 * colour + 0.012)
    edge = parts.edge[..., None] * np.float32(0.22) * np.array([0.9, 1.0, 0.98], np.float32)
    frame = parts.frame_light[..., None] * colour + parts.frame_second[..., None] * (second - colour)
    # Metal colours the light that it reflects.
    shine = 0.5 * colour + 0.5 if glasses.material == "metal" else white
    return [
        (parts.temple, through_frame, temple),
        (parts.lens, lens_tint(q, glasses), parts.lens[..., None] * reflected),
        (parts.pads, 0.80 * white, parts.pads[..., None] * 0.14 * white),
        (parts.inner, through_frame, inner),
        (parts.edge, 0.62 * white, edge),
        (parts.frame, through_frame, opacity * frame + parts.frame_shine[..., None] * shine),
    ]


def _as_photographed(
    transmittance: Array, added: Array, light: Light, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Layers as sharp, noisy and colourful as the picture."""
    # A bare face has no edges as sharp as those of glasses, so its blur is measured too high; and taking the means of
    # samples has blurred the layers already.
    blur = float(np.sqrt(max((0.7 * light.blur) ** 2 - 0.45**2, 0)))
    transmittance, added = blurred(transmittance, blur), blurred(added, blur)
    if light.noise > 0.002:
        grain = blurred(rng.standard_normal(added.shape[:2], np.float32), min(blur, 0.6))
        added = added + np.float32(light.noise) * grain[..., None] * (1 - transmittance)
    if light.saturation < 1:
        added = added + np.float32(1 - light.saturation) * ((added @ LUMA)[..., None] - added)
    if light.tones is not None:
        transmittance, added = _monochrome(transmittance, added, light.tones)
    transmittance[transmittance > 1 - MIN_SHADOW] = 1
    added[np.abs(added) < MIN_SHADOW / 4] = 0
    return transmittance, added


def _monochrome(
    transmittance: Array, added: Array, tones: tuple[tuple[float, float, float], ...]
) -> tuple[Array, Array]:
    """Layers for a monochrome picture, with the colour that it gives to each brightness."""
    passed, grey = transmittance @ LUMA, added @ LUMA
    covered = np.maximum(1 - passed, 1e-3)
    own = np.clip(grey / covered, 0, 1)
    channels = [np.float32(a) + own * (np.float32(b) + own * np.float32(c)) - own for a, b, c in tones]
    share = np.where(passed < 0.999, covered, 0)
    return np.stack([passed] * 3, -1), np.stack(
        [grey + share * np.clip(part, -0.3, 0.3) for part in channels], -1
    )


def _shadow(parts: Parts, x: Array, on_head: Array, pose: Pose, glasses: Glasses, light: Light) -> Array:
    """``(h, w, 3)``: the share of the light on the skin that frame and lenses take away."""
    unit = pose.unit
    solid = np.float32(0.35 + 0.65 * glasses.opacity)
    near = blurred(parts.frame + 0.7 * parts.temple, 0.018 * unit)
    near = _moved(near, -0.012 * light.right * unit, 0.022 * unit, pose)
    far = blurred(parts.frame, 0.045 * unit)
    far = _moved(far, -0.05 * light.right * unit, 0.075 * unit, pose)
    under = np.float32(1 - np.mean([glasses.upper_tint, glasses.lower_tint]))
    dim = blurred(parts.lens, 0.05 * unit) * under
    dim = _moved(dim, -0.05 * light.right * unit, 0.08 * unit, pose)
    total = solid * (0.34 * near + 0.26 * far) + 0.35 * dim
    # Beyond the head there is nothing that a shadow could fall on.
    side = np.clip((1.22 - np.abs(x)) / 0.25, 0, 1) * on_head
    # Light that has gone through skin is red: shadows on it are less so.
    tone = np.array([0.92, 1.0, 1.03], np.float32)
    shadow: Array = np.clip((total * side)[..., None] * tone, 0, 0.75).astype(np.float32)
    return shadow


def _moved(image: Array, right: float, down: float, pose: Pose) -> Array:
    """An image moved along the head's own axes, by whole pixels; 0 where nothing was."""
    roll = pose.scale / abs(pose.scale)
    step = (right + 1j * down) * roll
    return shifted(image, round(step.real), round(step.imag))


def shifted(image: Array, dx: int, dy: int) -> Array:
    """An image moved to the right and down; 0 where nothing was."""
    moved = np.zeros_like(image)
    height, width = image.shape
    if abs(dx) < width and abs(dy) < height:
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = image[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return moved
