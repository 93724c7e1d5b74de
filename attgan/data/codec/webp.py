"""WebP: checks the canvas before libwebp allocates it, and how the pixels are stored.

Sources: the WebP container specification; RFC 9649, sections 2.7 (VP8X), 3.4 (VP8L); RFC 6386, 9.1 (VP8).
"""

from __future__ import annotations

import struct

from attgan.data.codec.image import Limits
from attgan.errors import DataError

# Files have a few before their pixels. libwebp keeps a record of each.
_MOST_CHUNKS = 10_000


def check(data: bytes, limits: Limits) -> None:
    """Refuse too many chunks, and a canvas that is too large: it is allocated while the file is opened.

    Raises:
        DataError: stage ``decode``.
    """
    kind, at = data[12:16], 20
    if kind == b"VP8X" and len(data) >= at + 10:
        width, height = (int.from_bytes(data[at + i : at + i + 3], "little") + 1 for i in (4, 7))
        limits.refuse_beyond(width, height)
    elif kind == b"VP8 " and len(data) >= at + 10:
        width, height = struct.unpack_from("<HH", data, at + 6)
        limits.refuse_beyond(width & 0x3FFF, height & 0x3FFF)
    elif kind == b"VP8L" and len(data) >= at + 5:
        packed = int.from_bytes(data[at + 1 : at + 5], "little")
        limits.refuse_beyond((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    raise DataError("decode", f"more than {_MOST_CHUNKS:,} chunks")


def is_lossless(data: bytes) -> bool:
    """Whether the first bitstream (of an animation, that of its first frame) is VP8L."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8L", b"VP8 "):
            return bool(kind == b"VP8L")
        # A frame's chunks follow its own header of 16 bytes. Other chunks are skipped; they are padded to an even size.
        at += 24 if kind == b"ANMF" else 8 + size + size % 2
    return False
