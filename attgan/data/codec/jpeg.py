"""JPEG: decoding of plain files with libjpeg-turbo, checks of segments, and encoding as a file was encoded before.

Sources: ITU-T T.81 (JPEG), annex B; JFIF 1.02; Adobe's technical note 5116 (the Adobe segment).
"""

from __future__ import annotations

import functools
import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from attgan.data.codec.image import Decoded, Limits
from attgan.errors import DataError

MAGIC = b"\xff\xd8\xff"
QUALITY = 95
"""Of an image that has none of its own."""

# Four times as many as 64 MiB hold of the longest segments. Pillow keeps every segment, and needs 130 MB for 4 MB of
# empty ones.
_MOST_SEGMENTS = 4096
# Pillow joins them, and copies all of them for each. A photograph has one, or a few where its maker's notes are large.
_MOST_EXIF_SEGMENTS = 16
# Encoders write about ten. Each takes a pass over all coefficients, however few bytes it has.
_MOST_SCANS = 100

# By the width and the height of a luma sample in chroma samples.
_SUBSAMPLINGS: dict[tuple[float, float], str] = {
    (1, 1): "444",
    (2, 1): "422",
    (2, 2): "420",
    (1, 2): "440",
    (4, 1): "411",
}
_PILLOWS_SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2}
_EXIF, _PROFILE = b"Exif\x00\x00", b"ICC_PROFILE\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_ORIENTATION = b"tiff:Orientation"

_APP1, _APP2, _START_OF_SCAN, _FILL = 0xE1, 0xE2, 0xDA, 0xFF
_WITHOUT_LENGTH = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])
_HUFFMAN_TABLES, _QUANTISATION_TABLES, _RESTART_INTERVAL, _ADOBE = 0xC4, 0xDB, 0xDD, 0xEE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_HUFFMAN_TABLES, 0xC8, 0xCC}
_SEQUENTIAL = frozenset([0xC0, 0xC1, 0xC9])
_PROGRESSIVE = frozenset([0xC2, 0xCA])
_CODING = frozenset([*_FRAMES, _HUFFMAN_TABLES, _QUANTISATION_TABLES, _RESTART_INTERVAL, _ADOBE])
_AFTER_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END = b"\xff\xd9"
# Of the picture that is encoded: each thread keeps memory for so many.
_REUSED_PIXELS = 16_000_000
_thread = threading.local()


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
        if marker == _START_OF_SCAN:
            return
        at = end


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
    grey, coding = colorspace == "Gray", coding_segments(data)
    notes = () if subsampling in (*_PILLOWS_SUBSAMPLINGS, "Gray") else notes_on(coding, grey)
    return Decoded(pixels, "JPEG", grey=grey, coding=coding, notes=notes)


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
    exif = 0
    for count, segment in enumerate(segments(data)):
        if count == _MOST_SEGMENTS:
            raise DataError("decode", f"more than {_MOST_SEGMENTS:,} segments before the first scan")
        if segment.marker == _START_OF_SCAN:
            _refuse_endless_scans(data, segment.start - 4)
        exif += segment.marker == _APP1 and data.startswith(_EXIF, segment.start)
        if exif > _MOST_EXIF_SEGMENTS:
            raise DataError("decode", f"more than {_MOST_EXIF_SEGMENTS} Exif segments")


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


def coding_segments(data: bytes) -> bytes:
    """The segments that say how a JPEG is coded: tables, frame header, restart interval, and Adobe's on its colours."""
    return b"".join(
        data[segment.start - 4 : segment.end] for segment in segments(data) if segment.marker in _CODING
    )


@dataclass(frozen=True)
class _Coding:
    """How a JPEG's samples are coded.

    Attributes:
        tables: the quantisation table of each component, 64 values row by row. Those at the end that equal the one
            before are left out.
        components: their number.
        rgb: whether they are red, green and blue instead of luma and chroma.
        subsampling: of chroma (``444``, ``422``, ``420``, ``440``, ``411``); None for one that cannot be written.
        progressive: in scans of rising precision.
        optimised: with Huffman tables of its own.
        restart: interval of the restart markers, in blocks of samples; 0 for none.
    """

    tables: tuple[tuple[int, ...], ...]
    components: int
    rgb: bool
    subsampling: str | None
    progressive: bool
    optimised: bool
    restart: int


# A camera's photographs have few different ones.
@functools.lru_cache(maxsize=64)
def _coding_of(header: bytes) -> _Coding | None:
    """Read the result of :func:`coding_segments`; None if it is incomplete."""
    tables: dict[int, tuple[int, ...]] = {}
    huffman: set[bytes] = set()
    restart = 0
    transformed: bool | None = None
    frame: tuple[int, bytes] | None = None
    for marker, start, end in segments(b"\xff\xd8" + header):
        body = header[start - 2 : end - 2]
        if marker == _QUANTISATION_TABLES:
            tables.update(_tables(body))
        elif marker == _HUFFMAN_TABLES:
            huffman.update(_huffman_tables(body))
        elif marker == _RESTART_INTERVAL:
            restart = int.from_bytes(body[:2])
        elif marker == _ADOBE:
            transformed = body[11] > 0 if body.startswith(b"Adobe") and len(body) >= 12 else transformed
        else:
            frame = marker, body
    if frame is None or len(frame[1]) < 6 or len(frame[1]) < 6 + 3 * frame[1][5]:
        return None
    marker, body = frame
    # (identifier, sampling factors, table)
    components = [body[at : at + 3] for at in range(6, 6 + 3 * body[5], 3)]
    own = [tables.get(table) for _, _, table in components]
    while len(own) > 1 and own[-1] == own[-2]:
        own.pop()
    chosen = tuple(table for table in own if table is not None)
    if not own or len(chosen) < len(own):
        return None
    across, down = ([factors >> shift & 15 for _, factors, _ in components] for shift in (4, 0))
    ratio = (across[0] / (across[-1] or 1), down[0] / (down[-1] or 1))
    even = len(components) == 1 or (len({*across[1:3]}) == 1 and len({*down[1:3]}) == 1)
    usual = _usual_huffman_tables()
    return _Coding(
        chosen,
        len(components),
        bytes(body[6::3][:3]) == b"RGB" if transformed is None else not transformed and len(components) == 3,
        _SUBSAMPLINGS.get(ratio) if even else None,
        marker in _PROGRESSIVE,
        marker not in _PROGRESSIVE and not huffman <= usual,
        restart,
    )


def _tables(body: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        size = 128 if wide else 64
        values = np.frombuffer(body[at + 1 : at + 1 + size].ljust(size, b"\1"), ">u2" if wide else "u1")
        yield number, tuple(values[list(JpegImagePlugin.zigzag_index)].tolist())
        at += 1 + size


def _huffman_tables(body: bytes) -> Iterator[bytes]:
    at = 0
    while at + 17 <= len(body):
        end = at + 17 + sum(body[at + 1 : at + 17])
        yield body[at:end]
        at = end


@functools.lru_cache(maxsize=1)
def _usual_huffman_tables() -> frozenset[bytes]:
    """Those of T.81's annex K, which encoders write if they do not optimise."""
    sample = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8))
    return frozenset(
        table
        for marker, start, end in segments(sample)
        if marker == _HUFFMAN_TABLES
        for table in _huffman_tables(sample[start:end])
    )


@functools.lru_cache(maxsize=1)
def _qualities() -> dict[tuple[tuple[int, ...], ...], int]:
    """The quality that gives each of libjpeg's own tables."""
    sample, found = np.zeros((8, 8, 3), np.uint8), {}
    for quality in range(1, 101):
        data = simplejpeg.encode_jpeg(sample, quality, "RGB")
        coding = _coding_of(coding_segments(data))
        assert coding is not None
        found[coding.tables] = quality
    return found


def notes_on(coding: bytes, grey: bool) -> tuple[str, ...]:
    """What of a JPEG's coding cannot be written again."""
    own = _coding_of(coding)
    if own is None or own.components == 1 or own.subsampling in _PILLOWS_SUBSAMPLINGS:
        return ()
    return () if _quality_of_rare(own, grey) is not None else ("sampling changed",)


def encode(image: Decoded, quality: int | None) -> bytes:
    """A JFIF file.

    Args:
        image: its coding says how, if it was decoded from a JPEG.
        quality: 1 to 100; None for the image's own tables, progressive or optimised as they were, and :data:`QUALITY`
            where it has none.

    Raises:
        ValueError: no JPEG can hold the image.
        OSError: likewise.
    """
    own = _coding_of(image.coding)
    sampling = (own and own.subsampling) or image.subsampling
    if quality is None:
        quality = QUALITY if own is None else _quality_of_rare(own, image.grey)
    if own is None or quality is not None:
        return bytes(
            simplejpeg.encode_jpeg(
                np.ascontiguousarray(image.pixels),
                quality=quality,
                colorspace="RGB",
                colorsubsampling="Gray" if image.grey else sampling,
            )
        )
    picture = _picture(image.pixels)
    buffer = io.BytesIO()
    (picture.convert("L") if image.grey else picture).save(
        buffer,
        "JPEG",
        qtables=own.tables,
        subsampling=_PILLOWS_SUBSAMPLINGS.get(own.subsampling or "", 0),
        progressive=own.progressive,
        optimize=own.optimised,
        keep_rgb=own.rgb,
        restart_marker_blocks=own.restart,
    )
    return buffer.getvalue()


def with_xmp(data: bytes, xmp: bytes | None) -> bytes:
    """Insert the packet as a segment behind the JFIF header; nothing is encoded again."""
    if not xmp:
        return data
    start = 4 + int.from_bytes(data[4:6]) if data[2:4] == b"\xff\xe0" else 2
    segment = b"\xff\xe1" + (2 + len(_XMP) + len(xmp)).to_bytes(2) + _XMP + xmp
    return data[:start] + segment + data[start:]


def _quality_of_rare(coding: _Coding, grey: bool) -> int | None:
    """The quality that says all about a coding whose subsampling Pillow does not write; otherwise None.

    Of others it is not asked, because libjpeg-turbo's own interface transforms less exactly below a quality of 96.
    """
    if coding.subsampling not in ("440", "411") or grey or coding.components != 3:
        return None
    if coding.progressive or coding.optimised or coding.restart or coding.rgb:
        return None
    return _qualities().get(coding.tables)


def _picture(pixels: np.ndarray) -> Image.Image:
    """As :func:`PIL.Image.fromarray`, in half the time; valid until this thread's next call.

    Pillow stores four bytes for a pixel. Here they are copied all at once, into memory that is used again, because the
    system takes longer to provide new memory than the copy takes.
    """
    height, width = pixels.shape[:2]
    flat = np.ascontiguousarray(pixels).reshape(-1)
    count = height * width
    wide = _wide(count)
    wide[:-1] = np.ndarray(count - 1, np.uint32, flat, strides=(3,))
    wide[-1:].view(np.uint8)[:3] = flat[-3:]
    return Image.frombuffer("RGBX", (width, height), wide, "raw", "RGBX", 0, 1)


def _wide(count: int) -> np.ndarray:
    """Memory for so many pixels; for usual numbers the same each time."""
    if count > _REUSED_PIXELS:
        return np.empty(count, np.uint32)
    kept: np.ndarray | None = getattr(_thread, "wide", None)
    if kept is None or len(kept) < count:
        kept = _thread.wide = np.empty(count, np.uint32)
    return kept[:count]
