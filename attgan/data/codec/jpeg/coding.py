"""How a JPEG is coded: read from its segments, and encoding in the same way.

Sources: ITU-T T.81 (JPEG), annexes B and K; Adobe's technical note 5116 (the Adobe segment).
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from attgan.data.codec.image import Decoded
from attgan.data.codec.jpeg.segments import FRAMES, segments
from attgan.data.codec.orientation import back, upright

QUALITY = 95
"""Of an image that has none of its own."""

# By the width and the height of a luma sample in chroma samples.
_SUBSAMPLINGS: dict[tuple[float, float], str] = {
    (1, 1): "444",
    (2, 1): "422",
    (2, 2): "420",
    (1, 2): "440",
    (4, 1): "411",
}
_PILLOWS_SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2}
_HUFFMAN_TABLES, _QUANTISATION_TABLES, _RESTART_INTERVAL, _ADOBE = 0xC4, 0xDB, 0xDD, 0xEE
_PROGRESSIVE = frozenset([0xC2, 0xCA])
_CODING = frozenset([*FRAMES, _HUFFMAN_TABLES, _QUANTISATION_TABLES, _RESTART_INTERVAL, _ADOBE])
# Of the picture that is encoded: each thread keeps memory for so many.
_REUSED_PIXELS = 16_000_000
_thread = threading.local()


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
        ycck: whether they are ink that has been transformed to luma and chroma.
        rgb: whether they are red, green and blue instead of luma and chroma.
        subsampling: of chroma (``444``, ``422``, ``420``, ``440``, ``411``); None for one that cannot be written.
        progressive: in scans of rising precision.
        optimised: with Huffman tables of its own.
        restart: interval of the restart markers, in blocks of samples; 0 for none.
    """

    tables: tuple[tuple[int, ...], ...]
    components: int
    ycck: bool
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
        bool(transformed) and len(components) == 4,
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
    if own is not None and own.ycck:
        return ("YCCK to CMYK",)
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
    if quality is None:
        quality = QUALITY if own is None else _quality_of_rare(own, image.grey)
    picture = _as_stored(image)
    if quality is not None and picture.mode != "CMYK":
        sampling = (own and own.subsampling) or image.subsampling
        grey = picture.mode == "L"
        samples = np.asarray(picture)
        return bytes(
            simplejpeg.encode_jpeg(
                samples[..., None] if grey else samples,
                quality=quality,
                colorspace="GRAY" if grey else "RGBX",
                colorsubsampling="Gray" if grey else sampling,
            )
        )
    buffer = io.BytesIO()
    if own is None or quality is not None:
        picture.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()
    picture.save(
        buffer,
        "JPEG",
        # The tables of a transformed image's chroma are too coarse for its inks.
        qtables=own.tables[: 1 if own.ycck else None],
        subsampling=_PILLOWS_SUBSAMPLINGS.get(own.subsampling or "", 0),
        progressive=own.progressive,
        optimize=own.optimised,
        keep_rgb=own.rgb,
        restart_marker_blocks=own.restart,
    )
    return buffer.getvalue()


def _as_stored(image: Decoded) -> Image.Image:
    """The picture to encode, L, RGBX or CMYK, turned as in its file."""
    samples = image.pixels if image.stored is None else image.stored.samples
    if samples.ndim == 3 and samples.shape[2] == 3:
        picture = _picture(samples)
        picture = picture.convert("L") if image.grey else picture
    else:
        picture = Image.fromarray(samples, "L" if samples.ndim == 2 else "CMYK")
    return upright(picture, back(image.orientation))


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
