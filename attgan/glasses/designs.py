"""One pair of glasses for each set of styles: what a model is taught to draw when it is told these styles.

A model that sees many frames under one name draws their average, a grey smear. So each set of styles stands for one
design, the same on every face, and variety comes from the names.
"""

from __future__ import annotations

import functools
import zlib

import numpy as np

from attgan.attributes import DEFAULT_STYLE
from attgan.glasses.draw import KINDS, draw_glasses
from attgan.glasses.styles import STYLES, Glasses

DEFAULT = frozenset(DEFAULT_STYLE)
"""What is drawn where no style is named."""

DESIGNS: tuple[frozenset[str], ...] = tuple(
    sorted({kind.styles for kind in KINDS}, key=lambda styles: sorted(styles))
)
"""Every set of styles that glasses can have."""


@functools.cache
def design_of(styles: frozenset[str]) -> Glasses:
    """The pair that a set of styles stands for.

    Args:
        styles: one of :data:`DESIGNS`.

    Raises:
        ValueError: no glasses have just these styles.
    """
    if styles not in DESIGNS:
        raise ValueError(f"no glasses have just these styles: {', '.join(sorted(styles))}")
    random = random_of(styles)
    while True:
        glasses = draw_glasses(random, styles)
        # Mottles lie differently on every frame, and cannot be learnt pixel by pixel.
        if glasses.styles == styles and not glasses.mottled:
            return glasses


def random_of(styles: frozenset[str]) -> np.random.Generator:
    """Fresh chance for all that a design leaves open, reflections and the like: the same on every face."""
    return np.random.default_rng(zlib.crc32(",".join(sorted(styles)).encode()))


def draw_design(random: np.random.Generator) -> frozenset[str]:
    """Styles drawn by name, each as often as any other; sunglasses only by theirs."""
    name = STYLES[random.integers(len(STYLES))]
    fitting = [
        styles
        for styles in DESIGNS
        if name in styles and (name == "Sunglasses" or "Sunglasses" not in styles)
    ]
    return fitting[random.integers(len(fitting))]
