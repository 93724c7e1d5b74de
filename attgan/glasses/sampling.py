"""Random glasses, each kind as often as people wear it."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import NamedTuple, get_args

import numpy as np

from attgan.glasses.styles import STYLES, THICK, Bridge, Colour, Glasses, Material, Mount, Shape, styles_of

# How often each shape and mount is worn.
SHAPE_WEIGHTS: dict[Shape, float] = {
    "Rectangle": 0.30,
    "Wayfarer": 0.18,
    "Round": 0.17,
    "Oval": 0.13,
    "Cat_Eye": 0.11,
    "Aviator": 0.11,
}
MOUNT_WEIGHTS: dict[Mount, float] = {"full": 0.70, "half": 0.15, "none": 0.15}

# Ranges of the lenses' width, height and corners.
LENSES: dict[Shape, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "Round": ((0.66, 0.80), (0.64, 0.78), (2.0, 2.2)),
    "Oval": ((0.72, 0.84), (0.44, 0.56), (2.1, 2.5)),
    "Rectangle": ((0.74, 0.86), (0.44, 0.62), (3.6, 6.0)),
    "Wayfarer": ((0.75, 0.86), (0.56, 0.68), (2.8, 3.6)),
    "Cat_Eye": ((0.74, 0.85), (0.52, 0.64), (2.4, 3.0)),
    "Aviator": ((0.80, 0.92), (0.66, 0.80), (2.3, 2.8)),
}

DARK: tuple[Colour, ...] = (
    (0.05, 0.05, 0.055),
    (0.07, 0.065, 0.06),
    (0.13, 0.08, 0.055),
    (0.08, 0.09, 0.15),
    (0.20, 0.07, 0.08),
    (0.10, 0.15, 0.13),
    (0.19, 0.19, 0.20),
)
PALE: tuple[Colour, ...] = (
    (0.86, 0.86, 0.85),
    (0.90, 0.84, 0.74),
    (0.86, 0.66, 0.66),
    (0.62, 0.72, 0.80),
    (0.78, 0.62, 0.40),
    (0.70, 0.76, 0.68),
    (0.92, 0.91, 0.88),
)
VIVID: tuple[Colour, ...] = (
    (0.72, 0.12, 0.14),
    (0.16, 0.36, 0.66),
    (0.15, 0.48, 0.40),
    (0.55, 0.26, 0.55),
    (0.85, 0.50, 0.20),
)
METALS: tuple[Colour, ...] = (
    (0.80, 0.66, 0.40),
    (0.72, 0.72, 0.73),
    (0.45, 0.45, 0.47),
    (0.78, 0.58, 0.48),
    (0.12, 0.12, 0.13),
    (0.36, 0.25, 0.19),
)
# Share of light that sunglasses let through at the upper edge, by channel.
TINTS: tuple[Colour, ...] = (
    (0.16, 0.16, 0.17),
    (0.10, 0.10, 0.11),
    (0.24, 0.15, 0.10),
    (0.14, 0.18, 0.13),
    (0.18, 0.21, 0.30),
    (0.45, 0.28, 0.12),
    (0.40, 0.22, 0.28),
)
COATINGS: tuple[Colour, ...] = (
    (0.45, 0.85, 0.60),
    (0.45, 0.60, 0.95),
    (0.70, 0.50, 0.90),
    (0.85, 0.88, 0.90),
)


class Kind(NamedTuple):
    """A combination that decides the styles of a pair."""

    shape: Shape
    mount: Mount
    material: Material
    thick: bool
    light: bool
    sunglasses: bool

    @property
    def styles(self) -> frozenset[str]:
        """The names of its styles."""
        return styles_of(*self)

    @property
    def weight(self) -> float:
        """How often this kind is worn, up to a factor; 0 if it does not exist."""
        metal, full = self.material == "metal", self.mount == "full"
        bold = self.shape in {"Wayfarer", "Cat_Eye"}
        if (metal or not full) and (self.thick or self.light):
            return 0
        if self.mount == "none" and not metal:
            return 0
        if self.shape == "Aviator" and (self.thick or not full):
            return 0
        if self.shape == "Wayfarer" and self.mount == "none":
            return 0
        weight = SHAPE_WEIGHTS[self.shape] * MOUNT_WEIGHTS[self.mount]
        if self.mount != "none":
            wire = {"Aviator": 0.85, "Wayfarer": 0.1, "Cat_Eye": 0.2}.get(self.shape, 0.45)
            weight *= wire if metal else 1 - wire
        if full and not metal:
            thick = 0.45 if bold else 0.3
            weight *= thick if self.thick else 1 - thick
            weight *= 0.22 if self.light else 0.78
        sunny = 0.2 if self.shape == "Aviator" else 0.04 if self.mount != "full" else 0.11
        return weight * (sunny if self.sunglasses else 1 - sunny)


KINDS = [
    kind
    for kind in itertools.starmap(
        Kind,
        itertools.product(
            get_args(Shape), get_args(Mount), get_args(Material), (False, True), (False, True), (False, True)
        ),
    )
    if kind.weight > 0
]


def sample_glasses(rng: np.random.Generator, styles: Collection[str] | None = None) -> Glasses:
    """A random pair, or a random one that has at least these styles.

    Args:
        rng: the source of all randomness.
        styles: names from :data:`~attgan.glasses.styles.STYLES`; all else is random.

    Raises:
        ValueError: a name is not a style, or no glasses have all of these styles.
    """
    wanted = frozenset(styles or ())
    if unknown := wanted - set(STYLES):
        raise ValueError(f"unknown styles: {', '.join(sorted(unknown))}; the styles are {', '.join(STYLES)}")
    kinds = [kind for kind in KINDS if wanted <= kind.styles]
    if not kinds:
        raise ValueError(f"no glasses are {' and '.join(sorted(wanted))} at once")
    weights = np.array([kind.weight for kind in kinds])
    return _detailed(rng, kinds[rng.choice(len(kinds), p=weights / weights.sum())])


def _detailed(rng: np.random.Generator, kind: Kind) -> Glasses:
    shape, mount, material, thick, light, sunglasses = kind
    metal = material == "metal"
    widths, heights, corners = LENSES[shape]
    size = rng.normal(1, 0.03) * (1.06 if sunglasses else 1.0)
    width = float(rng.uniform(*widths) * size)
    height = float(rng.uniform(*heights) * size)
    if mount != "full":
        height *= 0.92
    thickness = float(
        rng.uniform(0.017, 0.030)
        if metal
        else rng.uniform(THICK, 0.086)
        if thick
        else rng.uniform(0.034, 0.056)
    )
    # The middles of the lenses are as far apart as the eyes, or a little more.
    gap = float(np.clip(rng.uniform(1.04, 1.15) - width, 0.24, 0.40) + 0.5 * thickness)
    colour, second, mottled, opacity = _frame_colours(rng, metal, light)
    upper, lower = _tints(rng, sunglasses)
    bridges: tuple[Bridge, ...] = ("double",) if shape == "Aviator" else ("saddle", "keyhole")
    keyhole = 0.4 if shape == "Round" and not metal else 0.12
    lift = {"Cat_Eye": rng.uniform(0.09, 0.15), "Wayfarer": rng.uniform(0.03, 0.06)}.get(shape, 0.0)
    return Glasses(
        shape=shape,
        mount=mount,
        material=material,
        sunglasses=sunglasses,
        light_frame=light,
        width=width,
        height=height,
        corners=float(rng.uniform(*corners)),
        lift=float(lift),
        gap=gap,
        bridge=bridges[-1] if len(bridges) == 1 or rng.random() < keyhole else bridges[0],
        thickness=thickness,
        brow=float(rng.uniform(1.0, 1.15) if metal else rng.uniform(1.05, 1.35 if thick else 1.6)),
        drop=float(np.clip(rng.normal(0.5 * height - 0.25, 0.025), 0.0, 0.16)),
        depth=float(rng.uniform(0.02, 0.04) if metal else rng.uniform(0.05, 0.08)),
        temple=float(
            rng.uniform(0.022, 0.04) if metal else rng.uniform(0.06, 0.10) * (1.3 if thick else 1.0)
        ),
        colour=colour,
        second=second,
        mottled=mottled,
        opacity=opacity,
        rivets=bool(not metal and mount == "full" and rng.random() < 0.3),
        gloss=float(rng.beta(2.5, 1.2)),
        bow=float(rng.uniform(0.08, 0.13) + (0.04 if sunglasses else 0)),
        tilt=float(rng.uniform(0.07, 0.18)),
        vertex=float(rng.uniform(0.20, 0.26)),
        upper_tint=upper,
        lower_tint=lower,
        mirror=float(rng.uniform(0.3, 0.7) if sunglasses and rng.random() < 0.15 else 0.0),
        coating=COATINGS[rng.integers(len(COATINGS))],
        sheen=float(rng.beta(1.5, 4) * 0.16),
        glare=float(
            rng.uniform(0.15, 0.7)
            if sunglasses
            else rng.uniform(0.5, 1.0)
            if rng.random() < 0.07
            else rng.beta(1.2, 5) * 0.5
        ),
        power=float(np.clip(rng.normal(-1.8, 2.2), -8, 4) * (0.1 if sunglasses else 1)),
    )


def _varied(rng: np.random.Generator, colour: Colour, by: float) -> Colour:
    red, green, blue = np.clip(np.array(colour) * rng.normal(1, by) + rng.normal(0, by * 0.1, 3), 0.02, 0.97)
    return float(red), float(green), float(blue)


def _frame_colours(rng: np.random.Generator, metal: bool, light: bool) -> tuple[Colour, Colour, float, float]:
    """The pair's ``colour``, ``second``, ``mottled`` and ``opacity``."""
    if metal:
        colour = _varied(rng, METALS[rng.integers(len(METALS))], 0.1)
        return colour, colour, 0.0, 1.0
    if light:
        if rng.random() < 0.22:
            colour = _varied(rng, VIVID[rng.integers(len(VIVID))], 0.1)
            return colour, colour, 0.0, float(rng.uniform(0.75, 1.0))
        colour = _varied(rng, PALE[rng.integers(len(PALE))], 0.06)
        clear = float(rng.uniform(0.3, 0.6)) if rng.random() < 0.55 else 1.0
        return colour, colour, 0.0, clear
    if rng.random() < 0.28:
        amber = _varied(rng, (0.50, 0.29, 0.12), 0.15)
        return amber, _varied(rng, (0.12, 0.065, 0.04), 0.2), float(rng.uniform(0.7, 1.0)), 1.0
    black = rng.random() < 0.55
    colour = _varied(rng, DARK[rng.integers(2)] if black else DARK[rng.integers(len(DARK))], 0.15)
    return colour, colour, 0.0, 1.0


def _tints(rng: np.random.Generator, sunglasses: bool) -> tuple[Colour, Colour]:
    """The pair's ``upper_tint`` and ``lower_tint``."""
    if not sunglasses:
        clear = float(rng.uniform(0.93, 0.985))
        tone = np.clip(clear + rng.normal(0, 0.006, 3), 0.88, 1)
        red, green, blue = (float(part) for part in tone)
        return (red, green, blue), (red, green, blue)
    upper = _varied(rng, TINTS[rng.choice(len(TINTS), p=[0.25, 0.25, 0.17, 0.13, 0.08, 0.06, 0.06])], 0.15)
    share = float(rng.uniform(0.2, 0.6)) if rng.random() < 0.4 else 0.04
    red, green, blue = (part + share * (0.9 - part) for part in upper)
    return upper, (red, green, blue)
