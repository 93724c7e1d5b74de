"""Hair on the head: behind the neck, around the face, and the fringe."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attgan.drawn_faces.bank import distance_field, look_up, sample
from attgan.drawn_faces.canvas import Array, Canvas, Window, bell, cover, paint, ramp, shadow, unit, window
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.features.hairstyles import STYLES, Style

_RAMPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((8, 7, 9), (30, 27, 28), (104, 100, 104)),
    "brown": ((38, 21, 12), (98, 61, 37), (190, 140, 98)),
    "blond": ((112, 80, 42), (208, 168, 106), (253, 236, 194)),
    "gray": ((74, 74, 78), (158, 158, 160), (238, 238, 240)),
    "red": ((66, 20, 10), (152, 66, 34), (232, 150, 100)),
}


_LONG_WINDOW = window(-110, 14, 110, 218)
_SHORT_WINDOW = window(-62, 10, 62, 126, margin=18)


class Hair(NamedTuple):
    """What the functions that paint hair share.

    where: the window that holds all of it; the others are (h, w) there.
    front: coverage of what hangs in front; behind: of what lies behind neck and head; tone: brightness 0..1;
    gap: distance (px) from the hair's edge into the face.
    """

    where: Window

    front: Array
    behind: Array | None
    tone: Array
    gap: Array


def colours_of(face: Face) -> tuple[Array, Array, Array]:
    """Dark, middle and light colour (3,) of hair, brows and beard."""
    tint = np.array(face.appearance.tint, dtype=np.float32)
    strength = {"black": 0.3, "brown": 0.6, "gray": 0.35}.get(face.traits.hair, 1.0)
    dark, middle, light = (np.array(c, dtype=np.float32) for c in _RAMPS[face.traits.hair])
    return dark + 0.4 * strength * tint, middle + strength * tint, light


def style_of(face: Face) -> Style:
    """The hairstyle of a face."""
    return STYLES[face.appearance.style_male if face.traits.male else face.appearance.style_female]


def grow(face: Face, canvas: Canvas) -> Hair | None:
    """Shape the hair without painting it; None if the head is bald."""
    if face.traits.bald:
        return None
    style, appearance = style_of(face), face.appearance
    where = _LONG_WINDOW if style.behind else _SHORT_WINDOW
    u, v, index = canvas.u[where], canvas.v[where], canvas.index[where]
    wave = _wave(face, style)
    bent = u
    if wave:
        # Waves that lengthen and shorten on the way down, out of step from side to side.
        phase = v * (0.17 - 0.05 * appearance.part) + 1.6 * np.sin(v * 0.041 + appearance.grain) + 0.06 * u
        bent = u + wave * np.sin(phase + 0.37 * appearance.grain) * unit((v - 50) / 60)
    part = 16 * appearance.part if style.flow == "fall" else 0.0
    flow = "fall" if face.traits.bangs and style.flow == "back" else style.flow
    strands = _strands(face, flow, bent - part, u, v)
    outer = look_up(distance_field(style.outer), index) + 2.2 * appearance.volume
    if wave:
        outer += 0.8 * (bent - u) * np.sign(u)
    opening = look_up(distance_field(style.opening), index)
    if style.ears:
        side = np.abs(u)
        opening = opening + 7 * appearance.recession * bell((side - 25) / 11) * bell((v - 66) / 14)
    ragged = 1.6 if flow == "curl" else 0.55 + 0.35 * wave
    silhouette = cover(outer + ragged * strands, 2.2)
    edge = ragged * strands - opening
    gap = opening
    if face.traits.bangs:
        fringe = _fringe(face, bent, v) + 1.5 * strands
        fringe = np.minimum(fringe, outer)
        edge = np.maximum(edge, fringe)
        gap = np.minimum(gap, -fringe)
    front = silhouette * cover(edge, 2.0)
    tone = _tone(face, flow, outer, opening, strands, u, v)
    if flow == "fall" and not face.traits.bangs:
        # The parting, where the scalp's shade shows.
        tone -= 0.16 * bell((bent - part) / 1.6) * unit((60 - v) / 16)
    return Hair(where, front, silhouette if style.behind else None, tone, gap)


def paint_behind(face: Face, canvas: Canvas, hair: Hair | None) -> None:
    """Paint the hair behind neck and face."""
    if hair is not None and hair.behind is not None:
        paint(canvas, _ink(face, hair.tone * 0.55), hair.behind, hair.where)


def cast_shadow(canvas: Canvas, hair: Hair | None, head: Array) -> None:
    """Darken the head (coverage 0..1) along the hairline."""
    if hair is not None:
        near = np.exp(np.minimum(-hair.gap, 0) / 4.0)
        near *= 0.5 * head[hair.where] * np.clip((150 - canvas.v[hair.where]) / 30, 0.25, 1)
        shadow(canvas, near, hair.where)


def paint_front(face: Face, canvas: Canvas, hair: Hair | None) -> None:
    """Paint the hair around the face, or the shaved hair of a bald man."""
    if hair is not None:
        paint(canvas, _ink(face, hair.tone), hair.front, hair.where)
    elif face.traits.male:
        sides = look_up(distance_field(STYLES["crop"].opening), canvas.index)
        head = look_up(distance_field(STYLES["crop"].outer), canvas.index)
        grain = sample("grain", canvas.v * 1.5, canvas.u * 1.5 + 300)
        trace = cover(-sides - 3, 10) * cover(head - 6, 6) * bell((np.abs(canvas.u) - 44) / 12)
        shadow(canvas, trace * unit(0.2 + 0.06 * grain))


def _ink(face: Face, tone: Array) -> Array:
    dark, middle, light = colours_of(face)
    return ramp(dark, middle, light, tone * face.moment.exposure)


def _wave(face: Face, style: Style) -> float:
    """Amplitude (px) of the waves of hair."""
    return 0.0 if style.flow != "fall" or style.ears else 3.6 * max(0.0, face.appearance.wave - 0.45) / 0.55


def _strands(face: Face, flow: str, bent: Array, u: Array, v: Array) -> Array:
    """Noise along the strands of hair."""
    offset = face.appearance.grain
    if flow == "curl":
        return sample("curl", v * 2.4 + offset, u * 2.4 + 256)
    if flow == "fall":
        return sample("strand", bent * (14.0 / (0.72 + 0.0103 * v)) + offset, v * 1.6)
    slope = u / np.maximum(168 - v, 30)
    return sample("strand", slope * 520 + offset, v * 2.4)


def _fringe(face: Face, bent: Array, v: Array) -> Array:
    """Distance (px, positive inside) to the edge of the fringe: straight, or swept to one side."""
    kind = face.appearance.fringe
    if kind < 0.6:
        edge = 97.0 - 4 * kind + 0.004 * bent * bent
    else:
        sweep = 1.0 if face.appearance.part > 0 else -1.0
        edge = 91.0 - sweep * 0.24 * bent + 0.004 * bent * bent
    return np.minimum(edge - v, 41.0 - np.abs(bent))


def _tone(face: Face, flow: str, outer: Array, opening: Array, strands: Array, u: Array, v: Array) -> Array:
    moment = face.moment
    across, down = np.clip(u / 64, -1, 1), np.clip((v - 92) / 70, -1, 1)
    facing = np.sqrt(np.maximum(1.15 - across * across - down * down, 0.1))
    light = 0.26 + 0.3 * facing + 0.16 * moment.light_x * across + 0.2 * moment.light_y * down
    # The band of highlights around the crown, and shade where strands overlap the face.
    band = bell((v - 54 - 0.006 * u * u + 10 * moment.light_y) / 9)
    tone = light * (0.55 + 0.45 * moment.ambient) + band * (0.13 + 0.07 * strands)
    tone += strands * (0.075 if flow == "curl" else 0.085)
    tone -= 0.16 * np.exp(-np.maximum(-opening, 0) / 5) + 0.1 * np.exp(-np.maximum(outer, 0) / 3)
    return unit(tone)
