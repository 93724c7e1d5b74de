"""Pictures of results: grids of faces before and after."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 6
_HEADER = 22
_BACKGROUND = (250, 250, 250)
_INK = (40, 40, 40)
_TEXT = 11
# Height and greatest number of a caption's lines.
_LINE, _LINES = 15, 4


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
    font = _font()
    letters = _letters(font, width)
    for i, tile in enumerate(tiles):
        left, top = (i % columns) * cell[0] + _GAP, (i // columns) * cell[1]
        caption = " ".join(captions[i].split()) if captions else ""
        if len(caption) > letters:
            # Captions are paths, of which the end says most.
            caption = "…" + caption[len(caption) - letters + 1 :]
        pen.text((left, top + 6), caption, fill=_INK, font=font)
        sheet.paste(tile, (left, top + _HEADER))
    return _jpeg(sheet)


def faces_grid(columns: Sequence[tuple[str, np.ndarray]], *, side: int = 128) -> bytes:
    """Faces in rows, what became of them in captioned columns.

    Args:
        columns: caption, and ``(N, S, S, 3)`` uint8, the same N faces in each. A caption takes up to four lines.
        side: of every face in the picture, in pixels.

    Returns:
        A JPEG.
    """
    return _jpeg(_band(columns, side))


def trials_grid(
    originals: np.ndarray,
    trials: Sequence[tuple[str, np.ndarray]],
    *,
    side: int = 128,
    most_rows: int = 8,
    most_columns: int = 12,
) -> bytes:
    """The same faces as every trial edits them, a column for each trial beside the originals.

    Trials that do not fit side by side continue below, beside the originals once more.

    Args:
        originals: ``(N, S, S, 3)`` uint8.
        trials: caption, and ``(N, T, T, 3)`` uint8, the same faces edited.
        side: of every face in the picture, in pixels.
        most_rows: faces that are shown, the first ones.
        most_columns: in one row, the originals among them.

    Returns:
        A JPEG.
    """
    beside = max(1, most_columns - 1)
    # Of nearly equal length, rather than full ones and a short last one.
    count = max(1, math.ceil(len(trials) / beside))
    beside = math.ceil(len(trials) / count)
    bands = []
    for start in range(0, max(1, len(trials)), max(1, beside)):
        columns = [("original", originals), *trials[start : start + beside]]
        bands.append(_band([(caption, faces[:most_rows]) for caption, faces in columns], side))
    sheet = Image.new("RGB", (max(b.width for b in bands), sum(b.height for b in bands)), _BACKGROUND)
    top = 0
    for band in bands:
        sheet.paste(band, (0, top))
        top += band.height
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


def _band(columns: Sequence[tuple[str, np.ndarray]], side: int) -> Image.Image:
    """Captioned columns of faces."""
    font = _font()
    letters = _letters(font, side)
    captions = [
        textwrap.wrap(caption, letters, max_lines=_LINES, placeholder="…") or [""] for caption, _ in columns
    ]
    header = _HEADER + _LINE * (max(len(lines) for lines in captions) - 1)
    rows = len(columns[0][1])
    sheet = Image.new(
        "RGB", (len(columns) * (side + _GAP) + _GAP, rows * (side + _GAP) + header + _GAP), _BACKGROUND
    )
    pen = ImageDraw.Draw(sheet)
    for i, (lines, (_, faces)) in enumerate(zip(captions, columns, strict=True)):
        left = i * (side + _GAP) + _GAP
        for j, line in enumerate(lines):
            pen.text((left, header - _HEADER + 6 - _LINE * (len(lines) - 1 - j)), line, fill=_INK, font=font)
        for j, face in enumerate(faces):
            picture = Image.fromarray(face).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, header + j * (side + _GAP)))
    return sheet


def _font() -> ImageFont.FreeTypeFont:
    """A font in which all letters have the same width, so that captions can be wrapped by counting."""
    # Imported where a picture is drawn, see curves.py. Its font has λ, × and →, which Pillow's has not.
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSansMono.ttf"), _TEXT)


def _letters(font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many letters fit into a width in pixels."""
    return max(1, int(width / font.getlength("m")))


def _jpeg(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
