"""Pictures of results: grids of faces before and after."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 6
_HEADER = 22
_BACKGROUND = (250, 250, 250)
_INK = (40, 40, 40)


def before_after_grid(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    captions: Sequence[str] | None = None,
    *,
    columns: int = 4,
    height: int = 218,
) -> bytes:
    """Pairs of images, the original beside its edit, in a grid.

    Args:
        pairs: ``(H, W, 3)`` uint8 each, any sizes; scaled to ``height``.
        captions: one short line per pair, written above it.
        columns: pairs per row.
        height: of every image, in pixels.

    Returns:
        A JPEG.
    """
    tiles = [_pair(before, after, height) for before, after in pairs]
    width = max((tile.width for tile in tiles), default=height)
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns) or 1
    cell = (width + 2 * _GAP, height + _HEADER + _GAP)
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1] + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for i, tile in enumerate(tiles):
        left, top = (i % columns) * cell[0] + _GAP, (i // columns) * cell[1]
        caption = captions[i] if captions else ""
        pen.text((left, top + 6), _shorten(caption, font, width), fill=_INK, font=font)
        sheet.paste(tile, (left, top + _HEADER))
    return _jpeg(sheet)


def faces_grid(columns: Sequence[tuple[str, np.ndarray]], *, side: int = 128) -> bytes:
    """Faces in rows, what became of them in captioned columns.

    Args:
        columns: caption, and ``(N, S, S, 3)`` uint8, the same N faces in each.
        side: of every face in the picture, in pixels.

    Returns:
        A JPEG.
    """
    rows = len(columns[0][1])
    sheet = Image.new(
        "RGB", (len(columns) * (side + _GAP) + _GAP, rows * (side + _GAP) + _HEADER + _GAP), _BACKGROUND
    )
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for i, (caption, faces) in enumerate(columns):
        left = i * (side + _GAP) + _GAP
        pen.text((left, 6), _shorten(caption, font, side), fill=_INK, font=font)
        for j, face in enumerate(faces):
            picture = Image.fromarray(face).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, _HEADER + j * (side + _GAP)))
    return _jpeg(sheet)


def scaled(pixels: np.ndarray, height: int) -> np.ndarray:
    """An image at another height, so that a caller need not hold huge ones until there is a grid's worth of them.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        height: in pixels, at least 1.

    Returns:
        ``(height, w, 3)`` uint8 with the proportions of the original; ``w`` is at least 1.
    """
    picture = Image.fromarray(pixels)
    width = max(1, round(picture.width * height / picture.height))
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def _pair(before: np.ndarray, after: np.ndarray, height: int) -> Image.Image:
    left, right = (Image.fromarray(scaled(pixels, height)) for pixels in (before, after))
    pair = Image.new("RGB", (left.width + 2 + right.width, height), _BACKGROUND)
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width + 2, 0))
    return pair


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


def _jpeg(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
