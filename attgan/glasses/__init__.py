"""Glasses for a given face: what training pairs are made of. Nothing that edits imports this."""

from attgan.glasses.draw import draw_glasses
from attgan.glasses.layers import Layers, compose
from attgan.glasses.light import Light, read_light
from attgan.glasses.rendering import render
from attgan.glasses.styles import STYLES, Glasses
from attgan.glasses.wearing import put_on

__all__ = [
    "STYLES",
    "Glasses",
    "Layers",
    "Light",
    "compose",
    "draw_glasses",
    "put_on",
    "read_light",
    "render",
]
