"""Glasses rendered on a given face, for training pairs and for measurements. Nothing that edits imports this."""

from attgan.glasses.layers import Layers, compose
from attgan.glasses.light import Light, read_light
from attgan.glasses.rendering import put_on, render
from attgan.glasses.sampling import sample_glasses
from attgan.glasses.styles import STYLES, Glasses

__all__ = [
    "STYLES",
    "Glasses",
    "Layers",
    "Light",
    "compose",
    "put_on",
    "read_light",
    "render",
    "sample_glasses",
]
