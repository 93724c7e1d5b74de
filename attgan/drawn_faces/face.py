"""A drawn face: all parameters of the drawing, and the attributes that can be switched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from attgan.attributes import PUBLISHED

HairColour = Literal["black", "blond", "brown", "gray", "red"]
Beard = Literal["none", "stubble", "goatee", "full"]

HAIR_COLOURS: dict[str, HairColour] = {"Black_Hair": "black", "Blond_Hair": "blond", "Brown_Hair": "brown"}


@dataclass(frozen=True, slots=True)
class Traits:
    """The published attributes. `hair` is also the colour of brows and beard, and of hair that baldness hides."""

    bald: bool
    bangs: bool
    hair: HairColour
    bushy_brows: bool
    glasses: bool
    male: bool
    mouth_open: bool
    mustache: bool
    beard: Beard
    pale: bool
    young: bool


@dataclass(frozen=True, slots=True)
class Build:
    """The proportions of a face; each number is -1..1, and 0 is the average face."""

    face_width: float
    jaw: float
    chin: float
    forehead: float
    cheeks: float
    eye_gap: float
    eye_open: float
    eye_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_height: float
    lips: float
    brow_height: float
    brow_arch: float
    nose_bend: float
    mouth_skew: float
    eye_skew: float


@dataclass(frozen=True, slots=True)
class Appearance:
    """Skin, eyes, hair, beard and make-up, which are drawn if the traits allow it.

    tone 0..1 (light to dark), redness 0..1, age 0..1 (depth of its lines), grain 0..511
    (place in the noise textures), iris (RGB 0..255), style_female and style_male (keys of
    `hairstyles.STYLES`), part -1..1, volume -1..1, wave 0..1, recession 0..1, tint (RGB offsets of the
    hair), fringe 0..1, beard_style as in Traits but never "none", lipstick 0..1, lip_colour (RGB),
    eye_shadow 0..1, shadow_colour (RGB), blush 0..1, earrings.
    """

    tone: float
    redness: float
    age: float
    grain: int
    iris: tuple[float, float, float]
    style_female: str
    style_male: str
    part: float
    volume: float
    wave: float
    recession: float
    tint: tuple[float, float, float]
    fringe: float
    beard_style: Beard
    lipstick: float
    lip_colour: tuple[float, float, float]
    eye_shadow: float
    shadow_colour: tuple[float, float, float]
    blush: float
    earrings: bool


@dataclass(frozen=True, slots=True)
class Spectacles:
    """Glasses: shape (key of `glasses.SHAPES`), size -1..1, rim (half width in px), mount, colours.

    mount: "full" rims, "half" (upper rim only) or "none" (rimless); tint: coverage of the lens 0..1, above
    0.5 sunglasses; glare 0..1: strength of the reflections; slip: px down the nose.
    """

    shape: str
    size: float
    rim: float
    mount: Literal["full", "half", "none"]
    colour: tuple[float, float, float]
    mottled: bool
    tint: float
    lens_colour: tuple[float, float, float]
    glare: float
    slip: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What differs between two pictures of one person: pose, expression, light, scene and camera.

    yaw, pitch: sine of the turn; roll in radians; scale around 1; shift_x, shift_y in px. smile 0..1;
    gap: px that open lips part; gaze_x, gaze_y in px. light_x, light_y: direction the light comes from
    (right and down positive, the viewer at 1); ambient 0..1; exposure around 1; warmth -1..1.
    scene: seed of the backdrop and textures; outfit: clothes; cloth (RGB); noise (standard deviation,
    grey levels); blur 0..1; contrast around 1.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift_x: float
    shift_y: float
    smile: float
    gap: float
    gaze_x: float
    gaze_y: float
    light_x: float
    light_y: float
    ambient: float
    exposure: float
    warmth: float
    scene: int
    outfit: float
    cloth: tuple[float, float, float]
    noise: float
    blur: float
    contrast: float


@dataclass(frozen=True, slots=True)
class Face:
    """One picture of one person. Equal faces give equal pictures, byte for byte."""

    seed: int
    traits: Traits
    build: Build
    appearance: Appearance
    spectacles: Spectacles
    moment: Moment


def with_attribute(face: Face, name: str, value: bool) -> Face:
    """The same face with one published attribute switched. Everything else stays the same.

    Each attribute can be switched independently, even if it is rare in life (a woman may have a beard). Only what
    cannot be drawn together is switched too: hair (Bangs or a colour) removes baldness, and Bald hides both; a
    colour replaces another; without its colour, hair is red; a mustache switches No_Beard off; No_Beard removes
    beard and mustache; and No_Beard=False gives the face its own style of beard.

    Raises:
        ValueError: `name` is not one of the published attributes.
    """
    traits = face.traits
    match name:
        case "Bald":
            traits = replace(traits, bald=value, bangs=traits.bangs and not value)
        case "Bangs":
            traits = replace(traits, bangs=value, bald=traits.bald and not value)
        case "Black_Hair" | "Blond_Hair" | "Brown_Hair":
            colour = HAIR_COLOURS[name]
            if value:
                traits = replace(traits, hair=colour, bald=False)
            elif traits.hair == colour and not traits.bald:
                traits = replace(traits, hair="red")
        case "Bushy_Eyebrows":
            traits = replace(traits, bushy_brows=value)
        case "Eyeglasses":
            traits = replace(traits, glasses=value)
        case "Male":
            traits = replace(traits, male=value)
        case "Mouth_Slightly_Open":
            traits = replace(traits, mouth_open=value)
        case "Mustache":
            traits = replace(traits, mustache=value)
        case "No_Beard":
            if value:
                traits = replace(traits, beard="none", mustache=False)
            elif traits.beard == "none" and not traits.mustache:
                traits = replace(traits, beard=face.appearance.beard_style)
        case "Pale_Skin":
            traits = replace(traits, pale=value)
        case "Young":
            traits = replace(traits, young=value)
        case _:
            raise ValueError(f"{name!r} cannot be drawn: one of {', '.join(PUBLISHED)}")
    return replace(face, traits=traits)
