"""GIF: counts the frames, checks the size of the first one before Pillow allocates it, and writes in a given palette.

Source: the GIF89a specification, sections 17 to 26.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from attgan.data.codec.image import Limits
from attgan.errors import DataError

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_MOST_FRAMES = 1000
# These are 12 MB of the longest blocks. Pillow keeps each block of a comment: 3 MB of the shortest take 130 MB.
_MOST_BLOCKS_IN_FRONT = 50_000
_MOST_BLOCKS = 1_000_000


def check(data: bytes, limits: Limits) -> None:
    """Refuse too many blocks, and a first frame of too many pixels: Pillow may allocate it before its size is known.

    Raises:
        DataError: stage ``decode``.
    """
    at, blocks = _behind_header(data), 0
    while at < len(data) and data[at] not in (_IMAGE, _TRAILER):
        if data[at] == _EXTENSION:
            at, passed = _behind_blocks(data, at + 2, _MOST_BLOCKS_IN_FRONT - blocks)
            blocks += passed
        else:
            at += 1
        blocks += 1
        if blocks > _MOST_BLOCKS_IN_FRONT:
            raise DataError("decode", f"more than {_MOST_BLOCKS_IN_FRONT:,} blocks before the first frame")
    left, top, width, height = (
        int.from_bytes(data[at + 1 + 2 * i : at + 3 + 2 * i], "little") for i in range(4)
    )
    limits.refuse_beyond(left + width, top + height, "a first frame to ")


def frames(data: bytes) -> str:
    """The number of frames, in words where not all are counted."""
    at, count, blocks = _behind_header(data), 0, 0
    while at < len(data) and data[at] != _TRAILER and count < _MOST_FRAMES and blocks < _MOST_BLOCKS:
        if data[at] == _IMAGE:
            count += 1
            at += 10 + _palette(data, at + 9) + 1
        elif data[at] == _EXTENSION:
            at += 2
        else:
            at += 1
            continue
        at, passed = _behind_blocks(data, at, _MOST_BLOCKS)
        blocks += passed
    if count >= _MOST_FRAMES or blocks >= _MOST_BLOCKS:
        return f"{count:,} or more"
    return f"{max(count, 1):,}"


def _behind_header(data: bytes) -> int:
    return 13 + _palette(data, 10)


def _palette(data: bytes, at: int) -> int:
    """Length in bytes of the colour table that the byte of flags at ``at`` describes."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(data: bytes, at: int, most: int) -> tuple[int, int]:
    """The end of a chain of sub-blocks, and their number; stops after ``most`` of them."""
    for passed in range(most):
        if at >= len(data):
            return at, passed
        if data[at] == 0:
            return at + 1, passed
        at += 1 + data[at]
    return at, most


# Distances are computed for so many colours at a time.
_COLOURS = 4096


def in_palette(pixels: np.ndarray, alpha: np.ndarray | None, palette: bytes) -> Image.Image:
    """A picture in the palette of another one: colours that are there stay, and others become the nearest.

    Pillow's own search rounds colours first, and so changes some that are there.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        alpha: ``(H, W)`` uint8: where it is 0, the picture gets a further colour that is transparent.
        palette: red, green and blue of at most 256 colours, or of 255 with alpha.
    """
    known = np.frombuffer(palette, np.uint8).reshape(-1, 3).astype(np.int32)
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    found, places = np.unique(packed, return_inverse=True)
    indices = np.empty(len(found), np.uint8)
    for first in range(0, len(found), _COLOURS):
        some = found[first : first + _COLOURS, None]
        colours = np.concatenate([some >> 16, some >> 8 & 255, some & 255], 1).astype(np.int32)
        # (n, 256)
        apart = sum((colours[:, None, axis] - known[None, :, axis]) ** 2 for axis in range(3))
        indices[first : first + _COLOURS] = np.argmin(apart, 1)
    picture = indices[places].reshape(packed.shape)
    if alpha is not None:
        picture[alpha == 0] = len(known)
    result = Image.fromarray(picture, "P")
    result.putpalette(palette + bytes(3) if alpha is not None else palette)
    return result
