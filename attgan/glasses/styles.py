"""One pair of glasses, its measurements and its styles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attgan.attributes import STYLES

Shape = Literal["Round", "Oval", "Rectangle", "Wayfarer", "Cat_Eye", "Aviator"]
Mount = Literal["full", "half", "none"]
Material = Literal["acetate", "metal"]
Bridge = Literal["saddle", "keyhole", "double"]
Colour = tuple[float, float, float]

THICK = 0.062
"""A rim at least this thick counts as thick: 4 mm if the eyes are 64 mm apart."""


def styles_of(
    shape: Shape, mount: Mount, material: Material, thick: bool, light_frame: bool, sunglasses: bool
) -> frozenset[str]:
    """The names among :data:`STYLES` of such glasses. Rimless ones do not count as metal ones."""
    has = {
        shape: True,
        "Half_Rim": mount == "half",
        "Rimless": mount == "none",
        "Thick_Rim": thick,
        "Metal": material == "metal" and mount != "none",
        "Light_Frame": light_frame,
        "Sunglasses": sunglasses,
    }
    return frozenset(name for name, yes in has.items() if yes)


@dataclass(frozen=True)
class Glasses:
    """One pair of glasses. Lengths are multiples of the distance between the eyes, colours are 0 to 1 in sRGB.

    Attributes:
        shape: of the lenses.
        mount: ``full``: a rim all around; ``half``: along the upper edge; ``none``: rimless.
        material: of rim, bridge and temples.
        width: of a lens.
        height: of a lens.
        corners: exponent of the superellipse: 2 is an ellipse, above it becomes a rectangle.
        lift: height by which the upper outer corner is raised.
        gap: between the lenses.
        bridge: its form.
        thickness: of the rim, seen from the front.
        brow: factor by which the rim is thicker along the brow.
        drop: distance of the lenses' middle below the eyes.
        depth: of the frame, from front to back.
        temple: height of the temples.
        colour: of the frame.
        second: the darker colour of a mottled frame.
        mottled: 0: one colour; 1: tortoiseshell.
        opacity: of the frame, 1: solid.
        rivets: whether the hinges show two metal pins at the front.
        gloss: 0: matt; 1: polished.
        bow: curvature of the front, as z = -bow · x².
        tilt: pantoscopic tilt, radians, which brings the lower edge nearer to the cheeks.
        vertex: distance from the eye to the front.
        upper_tint: share of light that the lens lets through at its upper edge, by channel.
        lower_tint: likewise at its lower edge.
        mirror: strength of the reflection of a sunglass lens.
        coating: colour of the anti-reflective coating's reflection.
        sheen: strength of that reflection.
        glare: strength of the reflections of windows and lamps.
        power: of the lens, dioptres, negative for the short-sighted.
    """

    shape: Shape
    mount: Mount
    material: Material
    sunglasses: bool
    light_frame: bool
    width: float
    height: float
    corners: float
    lift: float
    gap: float
    bridge: Bridge
    thickness: float
    brow: float
    drop: float
    depth: float
    temple: float
    colour: Colour
    second: Colour
    mottled: float
    opacity: float
    rivets: bool
    gloss: float
    bow: float
    tilt: float
    vertex: float
    upper_tint: Colour
    lower_tint: Colour
    mirror: float
    coating: Colour
    sheen: float
    glare: float
    power: float

    @property
    def styles(self) -> frozenset[str]:
        """The names among :data:`STYLES` that this pair has."""
        thick = self.mount != "none" and self.thickness >= THICK
        return styles_of(self.shape, self.mount, self.material, thick, self.light_frame, self.sunglasses)

    @property
    def style_labels(self) -> NDArray[np.bool_]:
        """``(len(STYLES),)`` bool: which of the styles this pair has."""
        return np.array([name in self.styles for name in STYLES])
