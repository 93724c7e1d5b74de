"""From a face's parameters to its picture, and to pairs of pictures that differ in one attribute."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attgan.drawn_faces import backdrop, camera, rig
from attgan.drawn_faces.face import Face, with_attribute
from attgan.drawn_faces.features import beard, clothes, eyes, glasses, hair, mouth, skin


class Pair(NamedTuple):
    """One face without and with an attribute: (218, 178, 3) uint8 each, and where they differ (218, 178) bool."""

    without: NDArray[np.uint8]
    with_it: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def draw(face: Face) -> NDArray[np.uint8]:
    """The picture: (218, 178, 3) uint8 RGB, aligned as CelebA's are."""
    canvas = rig.pose(face)
    locks = hair.grow(face, canvas)
    dark, middle, light = hair.colours_of(face)
    backdrop.paint_backdrop(face, canvas)
    hair.paint_behind(face, canvas, locks)
    skin.paint_neck(face, canvas)
    clothes.paint_clothes(face, canvas)
    flesh = skin.paint_head(face, canvas)
    eyes.paint_eyes(face, canvas, flesh)
    beard.paint_beard(face, canvas, flesh, dark, middle, light)
    mouth.paint_mouth(face, canvas, flesh)
    hair.cast_shadow(canvas, locks, flesh.head)
    eyes.paint_brows(face, canvas, middle)
    clothes.paint_earrings(face, canvas)
    if face.traits.glasses:
        glasses.paint_temples(face, canvas)
    hair.paint_front(face, canvas, locks)
    if face.traits.glasses:
        glasses.paint_glasses(face, canvas)
    return camera.photograph(face, canvas)


def draw_pair(face: Face, name: str) -> Pair:
    """The face without and with a published attribute.

    Raises:
        ValueError: `name` is not one of the published attributes.
    """
    without, with_it = (draw(with_attribute(face, name, value)) for value in (False, True))
    return Pair(without, with_it, (without != with_it).any(axis=2))
