"""One pair of glasses for each set of styles, which a model learns to draw for these styles.

A model that is trained on many frames under one name draws their average, a grey smear. So each set of styles has one
design, the same on every face, and variety comes from the names. Each style decides the same aspect of every design
that has it (an outline, a colour, a thickness), so that what the model learns about a style in one set holds in all
others.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import replace

import numpy as np

from attgan.attributes import DEFAULT_STYLE, SHAPES
from attgan.glasses.sampling import KINDS, LENSES
from attgan.glasses.styles import STYLES, Colour, Glasses

DEFAULT = frozenset(DEFAULT_STYLE)
"""The styles of the design that is used if no style is named."""

DESIGNS: tuple[frozenset[str], ...] = tuple(
    sorted({kind.styles for kind in KINDS}, key=lambda styles: sorted(styles))
)
"""Every set of styles that glasses can have."""

_BLACK: Colour = (0.06, 0.055, 0.055)
_CREAM: Colour = (0.90, 0.85, 0.76)
_GOLD: Colour = (0.74, 0.58, 0.32)
_STEEL: Colour = (0.30, 0.30, 0.32)
_CLEAR: Colour = (0.965, 0.97, 0.97)
_SMOKE: Colour = (0.13, 0.12, 0.125)
_SMOKE_BELOW: Colour = (0.24, 0.22, 0.22)

_PLAIN = Glasses(
    shape="Rectangle", mount="full", material="acetate", sunglasses=False, light_frame=False,
    width=0.80, height=0.55, corners=4.6, lift=0.0, gap=0.31, bridge="saddle",
    thickness=0.052, brow=1.25, drop=0.03, depth=0.065, temple=0.075,
    colour=_BLACK, second=_BLACK, mottled=0.0, opacity=1.0, rivets=False, gloss=0.6,
    bow=0.10, tilt=0.12, vertex=0.23, upper_tint=_CLEAR, lower_tint=_CLEAR,
    mirror=0.0, coating=(0.60, 0.70, 0.85), sheen=0.05, glare=0.2, power=-1.2,
)  # fmt: skip


@functools.cache
def design_of(styles: frozenset[str]) -> Glasses:
    """The design for a set of styles.

    Args:
        styles: one of :data:`DESIGNS`.

    Raises:
        ValueError: no glasses have exactly these styles.
    """
    if styles not in DESIGNS:
        raise ValueError(f"no glasses have exactly these styles: {', '.join(sorted(styles))}")
    kind = next(kind for kind in KINDS if kind.styles == styles)
    (width, height, corners) = ((low + high) / 2 for low, high in LENSES[kind.shape])
    width *= 1.06 if kind.sunglasses else 1.0
    height *= (1.06 if kind.sunglasses else 1.0) * (1.0 if kind.mount == "full" else 0.92)
    glasses = replace(
        _PLAIN,
        shape=kind.shape,
        mount=kind.mount,
        material=kind.material,
        sunglasses=kind.sunglasses,
        light_frame=kind.light,
        width=width,
        height=height,
        corners=corners,
        lift={"Cat_Eye": 0.12, "Wayfarer": 0.045}.get(kind.shape, 0.0),
        bridge="double" if kind.shape == "Aviator" else "saddle",
        drop=float(np.clip(0.5 * height - 0.25, 0.0, 0.16)),
    )
    if kind.thick:
        glasses = replace(glasses, thickness=0.082, brow=1.2, temple=0.105)
    if kind.light:
        glasses = replace(glasses, colour=_CREAM, second=_CREAM, opacity=0.9)
    if kind.material == "metal":
        metal = _GOLD if kind.shape in {"Round", "Aviator"} else _STEEL
        glasses = replace(
            glasses, thickness=0.030, brow=1.1, depth=0.03, temple=0.036, colour=metal, second=metal
        )
    if kind.sunglasses:
        glasses = replace(
            glasses, bow=0.145, upper_tint=_SMOKE, lower_tint=_SMOKE_BELOW, power=-0.1, glare=0.4
        )
    # The lenses' middles are as far apart as the eyes, or a little more.
    return replace(glasses, gap=float(np.clip(1.095 - width, 0.24, 0.40) + 0.5 * glasses.thickness))


def rng_of(styles: frozenset[str]) -> np.random.Generator:
    """A new generator for what a design leaves open, such as reflections: the same on every face."""
    return np.random.default_rng(zlib.crc32(b"sunglasses" if "Sunglasses" in styles else b"clear"))


def sample_design(rng: np.random.Generator) -> frozenset[str]:
    """The styles of a random design: a random style, and others that go with it. Only its own name gives sunglasses."""
    name = STYLES[rng.integers(len(STYLES))]
    fitting = [
        styles
        for styles in DESIGNS
        if name in styles and (name == "Sunglasses" or "Sunglasses" not in styles)
    ]
    # Half of the designs add only a shape to the style, as if a user had named that style alone.
    if rng.random() < 0.5:
        fitting = [styles for styles in fitting if styles <= {name, *SHAPES}] or fitting
    return fitting[rng.integers(len(fitting))]
