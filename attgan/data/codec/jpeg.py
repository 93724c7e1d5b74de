"""JPEG: decoding of plain files with libjpeg-turbo, checks of segments, and the place of metadata.

Sources: ITU-T T.81 (JPEG), annex B; the XMP specification, part 3, 1.1.3.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from attgan.data.codec.image import Decoded, Limits
from attgan.errors import DataError

MAGIC = b"\xff\xd8\xff"
# Four times as many as 64 MiB hold of the longest segments. Pillow keeps every segment, and needs 130 MB for 4 MB of
# empty ones.
_MOST_SEGMENTS = 4096
# Pillow joins them, and copies all of them for each. A photograph has one, or a few where its maker's notes are large.
_MOST_EXIF_SEGMENTS = 16
# Encoders write about ten. Each takes a pass over all coefficients, however few bytes it has.
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
    """Decode with libjpeg-turbo; None for a file that is left to Pillow.

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
    """Whether a JPEG's segments up to its first scan are well-formed, without orientation and colour profile."""
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
            # The frame's number of components. A scan with all of them is the only scan.
            one_scan = data[at + 9]
        at += 2 + length
    return False


def check(data: bytes) -> None:
    """Refuse too many segments or scans, which cost far more than their bytes and pixels.

    Raises:
        DataError: stage ``decode``.
    """
    at, exif = 2, 0
    for _ in range(_MOST_SEGMENTS):
        # Bytes between segments are skipped, as decoders do.
        at = data.find(b"\xff", at)
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
    """Counts from the first scan to the end of the image; behind it a motion photograph has its film."""
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
    """Insert the packet as a segment behind the JFIF header; nothing is encoded again."""
    start = 4 + int.from_bytes(data[4:6]) if data[2:4] == b"\xff\xe0" else 2
    segment = b"\xff\xe1" + (2 + len(_XMP) + len(xmp)).to_bytes(2) + _XMP + xmp
    return data[:start] + segment + data[start:]
