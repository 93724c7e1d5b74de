"""Decoding of plain JPEGs with libjpeg-turbo."""

from __future__ import annotations

from dataclasses import replace

import simplejpeg
from PIL import Image

from attgan.data.codec.colour import is_srgb, shown
from attgan.data.codec.image import Decoded, Limits
from attgan.data.codec.jpeg import metadata as jpeg_metadata
from attgan.data.codec.jpeg.coding import coding_segments, notes_on
from attgan.data.codec.jpeg.segments import (
    APP1,
    END,
    FRAMES,
    MOST_EXIF_SEGMENTS,
    MOST_SEGMENTS,
    START_OF_SCAN,
    refuse_endless_scans,
    segments,
)
from attgan.data.codec.orientation import upright

_PROGRESSIVE = frozenset([0xC2, 0xCA])


def decode_plain(data: bytes, limits: Limits) -> Decoded | None:
    """Decode with libjpeg-turbo; None for a file that is left to Pillow.

    Raises:
        DataError: stage ``decode``: too many pixels or scans.
    """
    scan = _first_scan(data)
    if scan is None:
        return None
    # A file that is whole but for its last two bytes is decoded: libjpeg-turbo warns where more is missing.
    whole = data if data.find(END, scan) >= 0 else data + END
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(whole)
        if colorspace not in ("YCbCr", "Gray"):
            return None
        limits.refuse_beyond(width, height)
        grey = colorspace == "Gray"
        pixels = simplejpeg.decode_jpeg(whole, colorspace="RGB")
    except ValueError:
        return None
    metadata, notes = jpeg_metadata.read(data)
    if metadata.orientation == 1 and is_srgb(metadata.profile, "L" if grey else "RGB"):
        decoded = Decoded(pixels, "JPEG", grey=grey, metadata=metadata)
    else:
        colours = upright(Image.fromarray(pixels[..., 0] if grey else pixels), metadata.orientation)
        decoded = shown(colours, "JPEG", metadata, grey=grey)
    coding = coding_segments(data)
    return replace(decoded, coding=coding, notes=(*decoded.notes, *notes_on(coding, grey), *notes))


def _first_scan(data: bytes) -> int | None:
    """Where the first scan's segment is; None if there is none, or if one in front of it is damaged.

    Raises:
        DataError: too many scans.
    """
    only_scan = exif = 0
    for count, (marker, start, end) in enumerate(segments(data)):
        exif += marker == APP1 and data.startswith(b"Exif\0\0", start)
        # Left to Pillow, and so to the checks that come before it.
        if end - start < 0 or exif > MOST_EXIF_SEGMENTS or (exif and count == MOST_SEGMENTS):
            return None
        if marker in FRAMES - _PROGRESSIVE and start + 5 < len(data):
            # The frame's number of components. A scan with all of them is the only scan.
            only_scan = data[start + 5]
        if marker == START_OF_SCAN and start < len(data):
            if data[start] != only_scan:
                refuse_endless_scans(data, start - 4)
            return start
    return None
