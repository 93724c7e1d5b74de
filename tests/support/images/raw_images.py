"""Image files put together byte by byte: kinds that no library writes, and ones that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

# In place of a TIFF's value: where its pixels start.
DATA = -1

Entry = tuple[int, int, int, int | bytes]
_SHORT, _LONG = 3, 4


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG's, with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    """Signature and IHDR."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def png(bits: int, colour: int, rows: Sequence[bytes], width: int, *chunks: bytes) -> bytes:
    """A PNG of any depth and colour type, of packed rows, with further chunks before the pixels."""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"".join([png_header(width, len(rows), bits, colour), *chunks, pixels, chunk(b"IEND", b"")])


def wide_png(values: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of 16 bits, of values ``(H, W, 1..4)`` uint16."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]]
    return png(16, colour, [row.astype(">u2").tobytes() for row in values], values.shape[1], *chunks)


def tiff(entries: Sequence[Entry], data: bytes = b"", *, following: int = 0) -> bytes:
    """A little-endian TIFF of one directory, of entries (tag, type, count, value or the bytes it lies in)."""
    entries = sorted(entries, key=lambda entry: entry[0])
    behind = 8 + 2 + 12 * len(entries) + 4
    far = b"".join(value for *_, value in entries if isinstance(value, bytes) and len(value) > 4)
    table, at = b"", behind
    for tag, kind, count, value in entries:
        if isinstance(value, int):
            packed = struct.pack("<I", behind + len(far) if value == DATA else value)
        elif len(value) > 4:
            packed, at = struct.pack("<I", at), at + len(value)
        else:
            packed = value.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, kind, count) + packed
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + table + struct.pack("<I", following) + far + data


def tiff_of(
    values: np.ndarray,
    photometric: int,
    *,
    compression: int = 1,
    bits: int | None = None,
    width: int | None = None,
    extra: Sequence[Entry] = (),
    following: int = 0,
) -> bytes:
    """A TIFF of values ``(H, W, C)`` in one strip: any type and depth, raw or deflated."""
    height, wide, samples = values.shape
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    data = zlib.compress(data) if compression == 8 else data
    depths = struct.pack(f"<{samples}H", *[bits or 8 * values.dtype.itemsize] * samples)
    entries: list[Entry] = [
        (256, _LONG, 1, width or wide),
        (257, _LONG, 1, height),
        (258, _SHORT, samples, depths),
        (259, _SHORT, 1, compression),
        (262, _SHORT, 1, photometric),
        (273, _LONG, 1, DATA),
        (277, _SHORT, 1, samples),
        (278, _LONG, 1, height),
        (279, _LONG, 1, len(data)),
        (339, _SHORT, 1, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]),
    ]
    return tiff([*entries, *extra], data, following=following)


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG's."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with further segments in front."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def gif(
    screen: tuple[int, int],
    box: tuple[int, int, int, int] = (0, 0, 1, 1),
    *,
    disposal: int = 0,
    front: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """A GIF of one black pixel, whatever it says of its screen and its frame (left, top, width, height)."""
    control = b"\x21\xf9\x04" + bytes([disposal << 2, 0, 0, 0, 0]) if disposal else b""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    return head + front + control + gif_frame(*box) + behind + b";"


def gif_frame(left: int, top: int, width: int, height: int) -> bytes:
    """A frame with the data of one pixel."""
    return b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02\x02\x44\x01\x00"


def riff(*chunks: tuple[bytes, bytes], kind: bytes = b"WEBP") -> bytes:
    """A RIFF file of chunks."""
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + kind + body


def bmp(width: int, height: int, bits: int, compression: int, data: bytes, colours: int = 0) -> bytes:
    """A BMP with the usual header of 40 bytes and a palette of greys."""
    palette = b"".join(bytes([i, i, i, 0]) for i in range(colours))
    start = 14 + 40 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    return head + info + palette + data
