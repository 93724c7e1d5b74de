"""PNG: the chunks that its picture needs, and properties that Pillow does not report.

Source: the PNG specification, third edition: 4.9 (animation), 5.3 (chunks), 11.2.1 (IHDR), 11.3.1.1 (tRNS).
"""

from __future__ import annotations

from PIL import PngImagePlugin

from attgan.errors import DataError

MAGIC = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _GREY_ALPHA = 0, 2, 4
# As many as 64 MiB hold of chunks of 640 bytes. Encoders write chunks of 8 KiB or more.
_MOST_CHUNKS = 100_000
_PICTURE = frozenset([b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"])
_TEXTS = frozenset([b"tEXt", b"zTXt", b"iTXt"])
_ORIENTED = (b"XML:com.adobe.xmp\x00", b"Raw profile type exif\x00")
# A compressed profile or text that unpacks to more is refused. Pillow's limit of one megabyte is too low for a long
# history of edits.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20


def picture_alone(data: bytes) -> tuple[bytes, int]:
    """The file reduced to picture, colours and orientation, and the number of frames that it had.

    Pillow keeps every unknown chunk, unpacks every text, and refuses the first frame if a later one is damaged. The
    still picture is the first frame, or is shown before the animation. A truncated file stays truncated.

    Raises:
        DataError: stage ``decode``: its header is not its first chunk, or it has too many chunks.
    """
    if data[12:16] != b"IHDR":
        raise DataError("decode", "a PNG that does not begin with its header")
    view = memoryview(data)
    kept = [view[: len(MAGIC)]]
    seen: set[bytes] = set()
    frames, still, dropped = 1, True, False
    at = len(MAGIC)
    for _ in range(_MOST_CHUNKS):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        wanted = kind if kind in _PICTURE else _wanted(kind, data, at)
        if wanted and (wanted in _PICTURE or wanted not in seen):
            kept.append(view[at:end])
            seen.add(wanted)
        else:
            dropped = True
        if kind == b"acTL":
            frames = int.from_bytes(data[at + 8 : at + 12])
        still = still and not (kind == b"fcTL" and b"IDAT" not in seen)
        if kind == b"IEND" or end >= len(data):
            return b"".join(kept) if dropped else data, frames + (frames > 1 and still)
        at = end
    raise DataError("decode", f"more than {_MOST_CHUNKS:,} chunks")


def _wanted(kind: bytes, data: bytes, at: int) -> bytes:
    """The kind of data that a chunk holds on colours or orientation; empty for none."""
    if kind in _TEXTS:
        return next((name for name in _ORIENTED if data.startswith(name, at + 8)), b"")
    return kind if kind in (b"iCCP", b"eXIf") else b""


def bits(data: bytes) -> int:
    """Bits per sample, 1 to 16."""
    return data[24]


def is_grey(data: bytes) -> bool:
    """Whether it is stored without colour, with or without alpha."""
    return data[25] in (_GREY, _GREY_ALPHA)


def clear_colour(clear: object, data: bytes) -> object:
    """The transparent grey or colour, converted from the file's samples, as Pillow returns it, to Pillow's eight bits.

    Of 16 bits the upper eight are compared, because Pillow's samples have no others.
    """
    if data[25] == _GREY and isinstance(clear, int) and bits(data) in (2, 4):
        return clear * (255 // (2 ** bits(data) - 1))
    if data[25] == _RGB and isinstance(clear, tuple) and bits(data) == 16:
        return tuple(value >> 8 for value in clear)
    return clear
