"""Random people and pictures of them. The shares of attributes resemble CelebA's; rare ones are more frequent."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import fields, replace
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from attgan.drawn_faces.face import Appearance, Beard, Build, Face, HairColour, Moment, Spectacles, Traits
from attgan.drawn_faces.features.glasses import SHAPES

T = TypeVar("T")
RGB = tuple[float, float, float]

_IRISES: tuple[RGB, ...] = (
    (88, 58, 36),
    (58, 38, 26),
    (104, 122, 140),
    (84, 112, 132),
    (98, 112, 76),
    (120, 92, 52),
)
_LIPSTICKS: tuple[RGB, ...] = ((176, 32, 48), (196, 66, 88), (206, 96, 104), (150, 40, 62), (186, 84, 70))
_SHADOWS: tuple[RGB, ...] = ((96, 66, 56), (70, 58, 66), (112, 84, 96), (80, 84, 104))
_RIMS: tuple[RGB, ...] = (
    (22, 20, 22), (26, 24, 26), (70, 42, 24), (96, 60, 32), (176, 144, 84), (150, 152, 158), (120, 24, 32),
    (34, 48, 96), (48, 40, 40), (30, 30, 34),
)  # fmt: skip
_DARK_LENSES: tuple[RGB, ...] = ((18, 18, 20), (40, 26, 16), (22, 32, 24), (24, 26, 44), (26, 22, 24))
_CLEAR_LENSES: tuple[RGB, ...] = ((196, 206, 220), (206, 214, 208), (216, 204, 190))
_CLOTHS: tuple[RGB, ...] = (
    (26, 26, 30), (30, 34, 52), (60, 62, 68), (140, 24, 34), (222, 222, 220), (44, 78, 112), (112, 92, 74),
    (36, 74, 58), (186, 120, 140), (92, 48, 92), (196, 168, 96), (150, 156, 164),
)  # fmt: skip


def sample_face(seed: int, *, glasses_share: float = 0.3) -> Face:
    """A random face that depends only on the seed.

    Args:
        seed: 0 or more.
        glasses_share: probability of Eyeglasses, 0..1; it affects nothing else.

    Raises:
        ValueError: an argument outside its range.
    """
    if seed < 0:
        raise ValueError(f"seed {seed}: must be 0 or more")
    if not 0 <= glasses_share <= 1:
        raise ValueError(f"glasses_share {glasses_share}: must be from 0 to 1")
    rng = np.random.default_rng([seed, 0])
    tone = float(rng.beta(1.2, 2.4))
    male = _chance(rng, 0.42)
    young = _chance(rng, 0.72 if male else 0.84)
    traits = Traits(
        male=male,
        young=young,
        glasses=_chance(rng, glasses_share),
        pale=_chance(rng, 0.08),
        bushy_brows=_chance(rng, 0.24 if male else 0.08),
        mouth_open=_chance(rng, 0.46),
        hair=_hair_colour(rng, young, tone),
        **_hair_and_beard(rng, male, young),
    )
    return Face(
        seed, traits, _build(rng), _appearance(rng, traits, tone), _spectacles(rng), _moment(rng, seed)
    )


def another_picture(face: Face, number: int, *, glasses_share: float = 0.3) -> Face:
    """The same person at another moment, with glasses chosen at random again; number 0 is the face itself."""
    if number == 0:
        return face
    rng = np.random.default_rng([face.seed, number])
    traits = replace(face.traits, mouth_open=_chance(rng, 0.46), glasses=_chance(rng, glasses_share))
    return replace(face, traits=traits, moment=_moment(rng, face.seed * 1009 + number))


def _hair_and_beard(rng: np.random.Generator, male: bool, young: bool) -> dict[str, Any]:
    """The traits bald, bangs, beard and mustache, without contradictions."""
    bald = _chance(rng, (0.08 if young else 0.26) if male else 0.001)
    bangs = _chance(rng, 0.1 if male else 0.24) and not bald
    bearded = _chance(rng, 0.46 if male else 0.0)
    beard: Beard = (
        _choice(rng, ("stubble", "goatee", "full", "none"), (0.34, 0.2, 0.34, 0.12)) if bearded else "none"
    )
    mustache = bearded and _chance(rng, {"none": 1.0, "stubble": 0.12, "goatee": 0.6, "full": 0.7}[beard])
    return {"bald": bald, "bangs": bangs, "beard": beard, "mustache": mustache}


def _hair_colour(rng: np.random.Generator, young: bool, tone: float) -> HairColour:
    colours: tuple[HairColour, ...] = ("black", "brown", "blond", "red", "gray")
    fair = max(0.12, 1 - 1.5 * tone)
    weights = (0.16 + 0.9 * tone, 0.34, 0.42 * fair, 0.12 * fair, 0.015 if young else 0.62)
    return _choice(rng, colours, weights)


def _build(rng: np.random.Generator) -> Build:
    return Build(*(float(x) for x in np.clip(rng.normal(0, 0.6, len(fields(Build))), -1, 1)))


def _appearance(rng: np.random.Generator, traits: Traits, tone: float) -> Appearance:
    beard_style: Beard = _choice(rng, ("stubble", "goatee", "full"), (0.3, 0.25, 0.45))
    painted = _chance(rng, 0.7)
    return Appearance(
        tone=tone,
        redness=_uniform(rng, 0.1, 0.9),
        age=float(rng.random()),
        grain=int(rng.integers(512)),
        iris=_choice(rng, _IRISES[:2] if tone > 0.5 else _IRISES),
        style_female=_choice(rng, ("long", "side", "bob", "updo"), (0.36, 0.32, 0.18, 0.14)),
        style_male=_choice(rng, ("crop", "parted", "quiff", "afro", "mane"), (0.34, 0.27, 0.22, 0.08, 0.09)),
        part=_uniform(rng, -1, 1),
        volume=_normal(rng, 0, 0.5, -1, 1),
        wave=float(rng.random()),
        recession=_uniform(rng, 0, 0.5) if traits.young else _uniform(rng, 0.1, 1),
        tint=_jitter(rng, 9),
        fringe=float(rng.random()),
        beard_style=beard_style,
        lipstick=_uniform(rng, 0.45, 1) if painted else 0.0,
        lip_colour=_choice(rng, _LIPSTICKS),
        eye_shadow=_uniform(rng, 0.2, 1) if painted and _chance(rng, 0.7) else 0.0,
        shadow_colour=_choice(rng, _SHADOWS),
        blush=_uniform(rng, 0, 1),
        earrings=_chance(rng, 0.4),
    )


def _spectacles(rng: np.random.Generator) -> Spectacles:
    dark = _chance(rng, 0.22)
    thin = _chance(rng, 0.35)
    colour = _choice(rng, _RIMS)
    return Spectacles(
        shape=_choice(rng, tuple(SHAPES)),
        size=_uniform(rng, -0.8, 1),
        rim=_uniform(rng, 0.55, 0.8) if thin else _uniform(rng, 1.0, 2.0),
        mount=_choice(rng, ("full", "half", "none"), (0.78, 0.14, 0.08)),
        colour=colour,
        mottled=colour[0] > 60 and _chance(rng, 0.5),
        tint=_uniform(rng, 0.8, 0.97) if dark else _uniform(rng, 0.03, 0.16),
        lens_colour=_choice(rng, _DARK_LENSES if dark else _CLEAR_LENSES),
        glare=float(rng.random()),
        slip=_uniform(rng, -1, 3),
    )


def _moment(rng: np.random.Generator, scene: int) -> Moment:
    return Moment(
        yaw=_normal(rng, 0, 0.19, -0.42, 0.42),
        pitch=_normal(rng, 0, 0.07, -0.16, 0.16),
        roll=_normal(rng, 0, 0.03, -0.07, 0.07),
        scale=_normal(rng, 1, 0.03, 0.93, 1.08),
        shift_x=_normal(rng, 0, 1, -2.5, 2.5),
        shift_y=_normal(rng, 0, 1, -2.5, 2.5),
        smile=_normal(rng, 0.5, 0.42, 0, 1),
        gap=_uniform(rng, 4.8, 9.5),
        gaze_x=_normal(rng, 0, 1.2, -2.6, 2.6),
        gaze_y=_normal(rng, 0, 0.5, -1.2, 1.2),
        light_x=_normal(rng, 0, 0.5, -1, 1),
        light_y=_uniform(rng, -0.75, -0.15),
        ambient=_uniform(rng, 0.3, 0.62),
        exposure=_uniform(rng, 0.86, 1.14),
        warmth=_normal(rng, 0, 0.45, -1, 1),
        scene=scene,
        outfit=float(rng.random()),
        cloth=_choice(rng, _CLOTHS),
        noise=_uniform(rng, 0.6, 3.2),
        blur=float(rng.beta(1, 3)),
        contrast=_uniform(rng, 0.92, 1.12),
    )


def _chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _normal(rng: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    return min(max(mean + deviation * float(rng.standard_normal()), low), high)


def _choice(rng: np.random.Generator, options: tuple[T, ...], weights: tuple[float, ...] | None = None) -> T:
    if weights is None:
        return options[int(float(rng.random()) * len(options))]
    edges = list(accumulate(weights))
    return options[bisect_right(edges, float(rng.random()) * edges[-1])]


def _jitter(rng: np.random.Generator, spread: float) -> RGB:
    red, green, blue = rng.normal(0, spread / 2, 3)
    return float(red), float(green), float(blue)
