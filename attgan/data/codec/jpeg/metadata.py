"""A JPEG's metadata: read from the segments in front of its picture, and written there.

Sources: JFIF 1.02; Exif 2.32, 4.7; the XMP specification, part 3, 1.1.3; ICC.1:2022, B.4; CIPA DC-007 (further
pictures); Android's motion photo and Ultra HDR formats.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attgan.data.codec.jpeg.segments import END, START_OF_SCAN, segments
from attgan.data.codec.metadata import Metadata

_JFIF, _EXIF, _PHOTOSHOP, _PROFILE = b"JFIF\0", b"Exif\0\0", b"Photoshop 3.0\0", b"ICC_PROFILE\0"
_XMP, _EXTENDED_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_FURTHER_PICTURES, _GAIN_MAP = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
_APP0, _APP1, _APP2, _APP11, _APP12, _APP13, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEB, 0xEC, 0xED, 0xEE, 0xFE
_APPS = range(0xE0, 0xF0)
# A segment's content: its length of two bytes counts itself.
_MOST_BYTES = 65_533
# A profile's parts are counted by one byte.
_MOST_PARTS = 255


def read(data: bytes) -> tuple[Metadata, tuple[str, ...]]:
    """A JPEG's metadata, and notes on what of its file an edited one does not have."""
    xmp = b""
    density: tuple[int, float, float] | None = None
    exif: list[bytes] = []
    photoshop: list[bytes] = []
    comments: list[bytes] = []
    notes: list[str] = []
    profile: dict[int, bytes] = {}
    scan = len(data)
    for marker, start, end in segments(data):
        body = data[start:end]
        if marker == START_OF_SCAN:
            scan = start
        elif marker == _APP0:
            if body.startswith(_JFIF) and len(body) >= 12:
                across, down = struct.unpack(">HH", body[8:12])
                density = (body[7], float(across), float(down))
        elif marker == _COMMENT:
            comments.append(body)
        elif marker == _APP1 and body.startswith(_EXIF):
            exif.append(body[len(_EXIF) :])
        elif marker == _APP1 and body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif marker == _APP1 and body.startswith(_EXTENDED_XMP):
            notes.append("extended XMP dropped")
        elif marker == _APP2 and body.startswith(_PROFILE):
            profile.setdefault(
                body[len(_PROFILE)] if len(body) > len(_PROFILE) else 0, body[len(_PROFILE) + 2 :]
            )
        elif marker == _APP13 and body.startswith(_PHOTOSHOP):
            photoshop.append(body[len(_PHOTOSHOP) :])
        elif marker == _APP11:
            notes.append("content credentials dropped")
        # Adobe's on colours is written anew where it is needed; Ducky's has the quality.
        elif (
            marker in _APPS
            and marker not in (_APP12, _APP14)
            and not body.startswith((_FURTHER_PICTURES, _GAIN_MAP))
        ):
            notes.append("other segments dropped")
    notes += _parts(data, scan)
    metadata = Metadata(
        b"".join(exif),
        xmp,
        b"".join(photoshop),
        b"".join(profile[number] for number in sorted(profile)),
        tuple(comments),
        density,
    )
    return metadata, tuple(dict.fromkeys(notes))


def _parts(data: bytes, scan: int) -> list[str]:
    """Notes on what is in the file besides its picture."""
    # Entropy-coded data has no such bytes.
    end = data.find(END, scan)
    head, tail = data[:scan], data[end + len(END) :] if end >= 0 else b""
    if not tail.strip(b"\0\r\n "):
        return []
    notes = []
    if any(sign in head for sign in (b"hdrgm:Version", _GAIN_MAP)):
        notes.append("gain map dropped")
    elif b"\xff\xd8\xff" in tail:
        notes.append("further pictures dropped")
    # The first box of a film names its kind.
    if b"ftyp" in tail:
        notes.append("motion part dropped")
    return notes or ["data behind the picture dropped"]


def write(data: bytes, metadata: Metadata) -> bytes:
    """Insert metadata into a JPEG behind its JFIF header; nothing is encoded again.

    Args:
        data: a JPEG without any.
        metadata: as :func:`attgan.data.codec.metadata.kept` returns it for a JPEG, so each fits.
    """
    if metadata.density is not None and data[2:4] != b"\xff\xe0":
        # libjpeg writes none for inks.
        data = data[:2] + _segment(_APP0, _JFIF + b"\1\1\0\0\1\0\1\0\0") + data[2:]
    start = 4 + int.from_bytes(data[4:6]) if data[2:4] == b"\xff\xe0" else 2
    head = bytearray(data[:start])
    if metadata.density is not None:
        unit, across, down = metadata.density
        head[13:18] = struct.pack(
            ">BHH", unit, *(min(65_535, max(1, round(side))) for side in (across, down))
        )
    return b"".join([head, *_segments(metadata), data[start:]])


def _segments(metadata: Metadata) -> Iterator[bytes]:
    if metadata.exif:
        yield _segment(_APP1, _EXIF + metadata.exif)
    if metadata.xmp:
        yield _segment(_APP1, _XMP + metadata.xmp)
    size = _MOST_BYTES - len(_PHOTOSHOP)
    for at in range(0, len(metadata.photoshop), size):
        yield _segment(_APP13, _PHOTOSHOP + metadata.photoshop[at : at + size])
    size = _MOST_BYTES - len(_PROFILE) - 2
    count = -(-len(metadata.profile) // size)
    for number in range(min(count, _MOST_PARTS)):
        part = metadata.profile[number * size : (number + 1) * size]
        yield _segment(_APP2, _PROFILE + bytes([number + 1, count]) + part)
    for comment in metadata.comments:
        yield _segment(_COMMENT, comment[:_MOST_BYTES])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(body)).to_bytes(2) + body
