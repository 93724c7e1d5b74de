"""Drawn faces: imaginary people in CelebA's geometry, whose attributes can be switched.

CelebA may not be redistributed, so tests, demo and measurements use faces drawn here: `sample_face` chooses a random
person, `draw` draws the picture, `labels` returns the visible attributes, `draw_pair` draws the same face without and
with one attribute, and `write_celeba` writes a dataset in CelebA's own layout.
"""

from attgan.drawn_faces.dataset import write_celeba
from attgan.drawn_faces.drawing import Pair, draw, draw_pair
from attgan.drawn_faces.face import Face, with_attribute
from attgan.drawn_faces.labels import labels
from attgan.drawn_faces.sampling import another_picture, sample_face

__all__ = [
    "Face",
    "Pair",
    "another_picture",
    "draw",
    "draw_pair",
    "labels",
    "sample_face",
    "with_attribute",
    "write_celeba",
]
