"""PNG: what Pillow does not say of it, and what its chunks may cost.

Source: the PNG specification, third edition: 5.3 (chunks), 11.2.1 (IHDR), 11.3.1.1 (tRNS).
"""

from __future__ import annotations

from PIL import PngImagePlugin

from attgan.errors import DataError

MAGIC = b"\x89PNG\r\n\x1a\n"
_PIXELS = frozenset([b"IDAT", b"fdAT", b"fcTL"])
_GREY, _RGB, _GREY_ALPHA = 0, 2, 4
# 64 MiB in chunks of 640 bytes; encoders write 8 KiB or more.
_MOST_CHUNKS = 100_000
# Pillow keeps them.
_MOST_OTHER_CHUNKS = 1000
# Pillow's one megabyte would call photographs with a long history of edits broken; all texts together stay within
# its 64 MiB, but repeated profiles and texts without a name are not counted there, and cost time.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20
_COMPRESSED = frozenset([b"iCCP", b"zTXt", b"iTXt"])
_MOST_COMPRESSED_CHUNKS = 100


def check(data: bytes) -> None:
    """Refuse endless chunks.

    Raises:
        DataError: stage ``decode``.
    """
    at, others, compressed = len(MAGIC), 0, 0
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return
        kind = data[at + 4 : at + 8]
        if kind not in _PIXELS:
            others += 1
            compressed += kind in _COMPRESSED
            if others > _MOST_OTHER_CHUNKS or compressed > _MOST_COMPRESSED_CHUNKS:
                raise DataError("decode", f"{others:,} chunks and more that are not pixels")
        at += 12 + int.from_bytes(data[at : at + 4])
    raise DataError("decode", f"more than {_MOST_CHUNKS:,} chunks")


def bits(data: bytes) -> int:
    """Bits per sample, 1 to 16."""
    return data[24]


def is_grey(data: bytes) -> bool:
    """Whether it is stored without colour, with or without alpha."""
    return data[25] in (_GREY, _GREY_ALPHA)


def clear_colour(clear: object, data: bytes) -> object:
    """A transparent grey or colour, which Pillow leaves as in the file, as it stands among Pillow's eight-bit samples.

    Of 16 bits the upper eight are compared, since there are no others.
    """
    if data[25] == _GREY and isinstance(clear, int) and bits(data) in (2, 4):
        return clear * (255 // (2 ** bits(data) - 1))
    if data[25] == _RGB and isinstance(clear, tuple) and bits(data) == 16:
        return tuple(value >> 8 for value in clear)
    return clear
