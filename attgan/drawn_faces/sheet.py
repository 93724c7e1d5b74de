"""Contact sheets: faces with the names of their attributes, and pairs without and with one attribute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from attgan.attributes import PUBLISHED
from attgan.drawn_faces.canvas import HEIGHT, WIDTH
from attgan.drawn_faces.drawing import draw, draw_pair
from attgan.drawn_faces.face import Face
from attgan.drawn_faces.labels import labels

_LINE, _MARGIN, _FONT_SIZE = 14, 6, 12
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


def draw_sheet(
    faces: Sequence[Face], *, columns: int = 6, names: Sequence[str] = PUBLISHED
) -> NDArray[np.uint8]:
    """The faces in rows, and below each face its attributes among `names`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no face, or fewer than one column.
    """
    if not faces or columns < 1:
        raise ValueError(f"{len(faces)} faces in {columns} columns: a sheet needs at least one of each")
    captions = [[name for name in names if labels(face)[name]] for face in faces]
    cell = HEIGHT + _LINE * max(len(caption) for caption in captions) + _MARGIN
    rows = -(-len(faces) // columns)
    sheet = Image.new("RGB", (columns * (WIDTH + _MARGIN), rows * cell), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    for place, (face, caption) in enumerate(zip(faces, captions, strict=True)):
        x, y = place % columns * (WIDTH + _MARGIN), place // columns * cell
        sheet.paste(Image.fromarray(draw(face)), (x, y))
        for line, name in enumerate(caption):
            pen.text((x + 4, y + HEIGHT + line * _LINE), name, fill=_INK, font=font)
    return np.asarray(sheet)


def draw_pair_sheet(faces: Sequence[Face], names: Sequence[str] = PUBLISHED) -> NDArray[np.uint8]:
    """For each attribute a row of the faces without it and a row of the same faces with it.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no face, or an attribute that is not one of the published ones.
    """
    if not faces:
        raise ValueError("no faces: a sheet needs at least one")
    block = 2 * HEIGHT + _LINE + _MARGIN
    sheet = Image.new("RGB", (len(faces) * WIDTH, len(names) * block), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    for row, name in enumerate(names):
        pen.text((4, row * block), f"{name}: without, with", fill=_INK, font=font)
        for column, face in enumerate(faces):
            pair = draw_pair(face, name)
            for below, pixels in enumerate((pair.without, pair.with_it)):
                sheet.paste(
                    Image.fromarray(pixels), (column * WIDTH, row * block + _LINE + 2 + below * HEIGHT)
                )
    return np.asarray(sheet)
