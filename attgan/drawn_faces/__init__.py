"""Drawn faces: people who never lived, in CelebA's geometry, with attributes that are controls.

CelebA may not be passed on, so tests, demo and measurements stand on faces drawn here: `sample_face` draws a person
by lot, `draw` the picture, `labels` says what can be seen, `draw_pair` gives the same face without and with one
attribute, and `write_celeba` writes a set in CelebA's own layout.
"""

from attgan.drawn_faces.dataset import write_celeba
from attgan.drawn_faces.drawing import Pair, draw, draw_pair
from attgan.drawn_faces.face import Face, with_attribute
from attgan.drawn_faces.labels import labels
from attgan.drawn_faces.sampling import another_picture, sample_face
from attgan.drawn_faces.sheet import draw_pair_sheet, draw_sheet

__all__ = [
    "Face",
    "Pair",
    "another_picture",
    "draw",
    "draw_pair",
    "draw_pair_sheet",
    "draw_sheet",
    "labels",
    "sample_face",
    "with_attribute",
    "write_celeba",
]
