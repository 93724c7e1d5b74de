"""Drawn faces: people who never lived, in CelebA's geometry, with attributes that are controls.

CelebA may not be passed on, so tests, demo and measurements stand on faces drawn here: `sample_face` draws a person
by lot, `draw` the picture, `labels` says what can be seen, `draw_pair` gives the same face without and with one
attribute, and `write_celeba` writes a set in CelebA's own layout.
"""

from attgan.data.synthetic.dataset import write_celeba
from attgan.data.synthetic.drawing import Pair, draw, draw_pair
from attgan.data.synthetic.face import Face, with_attribute
from attgan.data.synthetic.labels import labels
from attgan.data.synthetic.sampling import another_picture, sample_face
from attgan.data.synthetic.sheet import draw_pair_sheet, draw_sheet

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
