"""JPEG: the short way for plain ones, what its segments ask for, and where its metadata goes.

Sources: ITU-T T.81 (JPEG), annex B; the XMP specification, part 3, 1.1.3.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from attgan.data.codec.image import Decoded, Limits
from attgan.errors import DataError

MAGIC = b"\xff\xd8\xff"
# What 64 MiB of the longest segments would be, four times over. Pillow keeps every one of them: 4 MB of empty ones
# cost it 130 MB.
_MOST_SEGMENTS = 4096
# Pillow joins them, each time anew. A photograph has one, with rare large maker's notes a few.
_MOST_EXIF_SEGMENTS = 16
# Encoders write about ten. Each costs a pass over all coefficients, however few bytes it has.
_MOST_SCANS = 100

_SUBSAMPLINGS = ("444", "422", "420", "440", "411")
_EXIF, _PROFILE = b"Exif\x00\x00", b"ICC_PROFILE\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_ORIENTATION = b"tiff:Orientation"

_APP1, _APP2, _START_OF_SCAN, _FILL = 0xE1, 0xE2, 0xDA, 0xFF
_WITHOUT_LENGTH = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])
_SEQUENTIAL = frozenset([0xC0, 0xC1, 0xC9])
_AFTER_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def decode_plain(data: bytes, limits: Limits) -> Decoded | None:
    """libjpeg-turbo's short way, or None where Pillow should have a look.

    Raises:
        DataError: stage ``decode``: too many pixels or scans.
    """
    if not _is_plain(data):
        return None
    try:
        height, width, colorspace, subsampling = simplejpeg.decode_jpeg_header(data)
        if colorspace not in ("YCbCr", "Gray"):
            return None
        limits.refuse_beyond(width, height)
        pixels = simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError:
        return None
    grey = colorspace == "Gray"
    return Decoded(
        pixels, "JPEG", grey=grey, subsampling=subsampling if subsampling in _SUBSAMPLINGS else "420"
    )


def _is_plain(data: bytes) -> bool:
    """Whether a JPEG's segments, up to its first scan, are in order and ask for nothing but its pixels.

    What asks for more is an orientation or a colour profile.
    """
    at, one_scan = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _FILL:
            at += 1
            continue
        if marker == _START_OF_SCAN and at + 4 < len(data):
            if data[at + 4] != one_scan:
                _refuse_endless_scans(data, at)
            return True
        length = (data[at + 2] << 8) | data[at + 3]
        if length < 2:
            return False
        if marker == _APP1:
            orientation = data.find(_XMP_ORIENTATION, at, at + 2 + length) >= 0
            if orientation or data.startswith(_EXIF, at + 4):
                return False
        elif marker == _APP2 and data.startswith(_PROFILE, at + 4):
            return False
        elif marker in _SEQUENTIAL and at + 9 < len(data):
            one_scan = data[at + 9]  # one that has all of the frame's components is the only one
        at += 2 + length
    return False


def check(data: bytes) -> None:
    """Refuse what costs far more than its bytes and pixels: endless segments, endless scans.

    Raises:
        DataError: stage ``decode``.
    """
    at, exif = 2, 0
    for _ in range(_MOST_SEGMENTS):
        at = data.find(b"\xff", at)  # what lies between segments is skipped, as decoders do
        if at < 0 or at + 4 > len(data):
            return
        marker = data[at + 1]
        if marker == _START_OF_SCAN:
            _refuse_endless_scans(data, at)
            return
        if marker == _FILL or marker in _WITHOUT_LENGTH:
            at += 1 if marker == _FILL else 2
            continue
        exif += marker == _APP1 and data.startswith(_EXIF, at + 4)
        if exif > _MOST_EXIF_SEGMENTS:
            raise DataError("decode", f"more than {_MOST_EXIF_SEGMENTS} Exif segments")
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    raise DataError("decode", f"more than {_MOST_SEGMENTS:,} segments before the first scan")


def _refuse_endless_scans(data: bytes, at: int) -> None:
    """From the first scan to the end of the image; a motion photograph's film may follow."""
    scans = 0
    while at + 4 <= len(data) and data[at + 1] != 0xD9:
        scans += data[at + 1] == _START_OF_SCAN
        if scans > _MOST_SCANS:
            raise DataError("decode", f"more than {_MOST_SCANS} scans")
        found = _AFTER_SCAN.search(data, at + 2 + int.from_bytes(data[at + 2 : at + 4]))
        if found is None:
            return
        at = found.start()


def encode(pixels: np.ndarray, *, grey: bool, subsampling: str, quality: int, xmp: bytes | None) -> bytes:
    """A JFIF file of pixels ``(H, W, 3)`` uint8.

    Raises:
        ValueError: no JPEG can hold them.
    """
    data = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels),
        quality=quality,
        colorspace="RGB",
        colorsubsampling="Gray" if grey else subsampling,
    )
    return _with_xmp(data, xmp) if xmp else bytes(data)


def _with_xmp(data: bytes, xmp: bytes) -> bytes:
    """A segment of its own behind the JFIF header; nothing is encoded again."""
    start = 4 + int.from_bytes(data[4:6]) if data[2:4] == b"\xff\xe0" else 2
    segment = b"\xff\xe1" + (2 + len(_XMP) + len(xmp)).to_bytes(2) + _XMP + xmp
    return data[:start] + segment + data[start:]
