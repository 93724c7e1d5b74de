"""A JPEG's segments, and checks that keep a file from costing far more than its bytes and pixels.

Source: ITU-T T.81 (JPEG), annex B.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from attgan.errors import DataError

START_OF_SCAN = 0xDA
END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Four times as many as 64 MiB hold of the longest segments. Pillow keeps every segment, and needs 130 MB for 4 MB of
# empty ones.
MOST_SEGMENTS = 4096
# Pillow joins them, and copies all of them for each. A photograph has one, or a few where its maker's notes are large.
MOST_EXIF_SEGMENTS = 16
# Encoders write about ten. Each takes a pass over all coefficients, however few bytes it has.
_MOST_SCANS = 100
APP1, _FILL = 0xE1, 0xFF
_WITHOUT_LENGTH = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])
_AFTER_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


class Segment(NamedTuple):
    """A segment in front of a JPEG's first scan: its marker's second byte, and where its content is in the file."""

    marker: int
    start: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """All segments up to the first scan's, that included; bytes between segments are skipped, as decoders do."""
    at = 2
    while at + 4 <= len(data):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            return
        marker = data[at + 1]
        if marker == _FILL or marker in _WITHOUT_LENGTH:
            at += 1 if marker == _FILL else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield Segment(marker, at + 4, end)
        if marker == START_OF_SCAN:
            return
        at = end


def check(data: bytes) -> None:
    """Refuse too many segments or scans, which cost far more than their bytes and pixels.

    Raises:
        DataError: stage ``decode``.
    """
    exif = 0
    for count, segment in enumerate(segments(data)):
        if count == MOST_SEGMENTS:
            raise DataError("decode", f"more than {MOST_SEGMENTS:,} segments before the first scan")
        if segment.marker == START_OF_SCAN:
            refuse_endless_scans(data, segment.start - 4)
        exif += segment.marker == APP1 and data.startswith(b"Exif\0\0", segment.start)
        if exif > MOST_EXIF_SEGMENTS:
            raise DataError("decode", f"more than {MOST_EXIF_SEGMENTS} Exif segments")


def refuse_endless_scans(data: bytes, at: int) -> None:
    """Counts from the first scan to the end of the image; behind it a motion photograph has its film."""
    scans = 0
    while at + 4 <= len(data) and data[at + 1] != 0xD9:
        scans += data[at + 1] == START_OF_SCAN
        if scans > _MOST_SCANS:
            raise DataError("decode", f"more than {_MOST_SCANS} scans")
        found = _AFTER_SCAN.search(data, at + 2 + int.from_bytes(data[at + 2 : at + 4]))
        if found is None:
            return
        at = found.start()
