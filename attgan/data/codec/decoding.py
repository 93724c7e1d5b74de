"""From bytes to pixels: with libjpeg-turbo for plain JPEGs, with Pillow for everything else."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import replace

import PIL
from PIL import Image, TiffImagePlugin

from attgan.data.codec import gif, jpeg, png, tiff, webp
from attgan.data.codec.colour import as_seen
from attgan.data.codec.formats import FORMATS, format_of
from attgan.data.codec.image import DEFAULT_LIMITS, Decoded, Limits
from attgan.data.codec.metadata import Metadata
from attgan.errors import DataError, NotAnImage, one_line

# :class:`Limits` limits the pixels. Pillow's own limit, which is global, would refuse what a user has allowed.
Image.MAX_IMAGE_PIXELS = None
# Pillow's parsers warn and log about every damaged tag. For us a file decodes or it raises.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Decoded:
    """Decode an image.

    Raises:
        NotAnImage: stage ``decode``: empty, or of no known format.
        DataError: stage ``decode``: too large, truncated or corrupt.
    """
    if not data:
        raise NotAnImage("decode", "the file is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        raise DataError("decode", f"{len(data):,} bytes; the limit is {limits.max_bytes:,}")
    if format_of(data) == "JPEG":
        decoded = jpeg.decode_plain(data, limits)
        if decoded is not None:
            return decoded
    return _decode_with_pillow(data, limits)


def _decode_with_pillow(data: bytes, limits: Limits) -> Decoded:
    kind, whole = format_of(data), data
    try:
        data, frames = _checked(kind, data, limits)
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as picture:
            limits.refuse_beyond(*picture.size)
            metadata, dropped = _metadata(kind, whole, picture)
            if picture.format == "WEBP":
                frames = f"{getattr(picture, 'n_frames', 1):,}"
            decoded = as_seen(picture, data, metadata)
    except (DataError, MemoryError):
        raise
    except PIL.UnidentifiedImageError as error:
        known = f"a damaged {kind}, or of a kind that is not read"
        unknown = f"not an image of a known format ({', '.join(FORMATS)})"
        raise (DataError if kind else NotAnImage)("decode", known if kind else unknown) from error
    # A hostile file makes Pillow's parsers raise nearly anything.
    except Exception as error:
        raise DataError("decode", f"{kind}: {one_line(error)}") from error
    coding = jpeg.coding_segments(data) if kind == "JPEG" else b""
    notes = [*decoded.notes, *jpeg.notes_on(coding, decoded.grey), *dropped]
    return replace(
        decoded,
        format="JPEG" if decoded.format == "MPO" else decoded.format,
        coding=coding,
        lossless=kind == "WEBP" and webp.is_lossless(data),
        notes=tuple(notes if frames == "1" else [*notes, f"first of {frames} frames"]),
    )


def _metadata(kind: str, data: bytes, picture: Image.Image) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of a file whose picture is open, but not loaded, and notes on what an edited file does not have."""
    info = picture.info
    profile = info.get("icc_profile") or b""
    if kind == "JPEG":
        return jpeg.read(data)
    if kind == "PNG":
        return png.read(data, profile)
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return tiff.read(picture)
    if kind == "WEBP":
        exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
        return Metadata(exif, info.get("xmp", b""), profile=profile), ()
    if kind == "GIF" and info.get("comment"):
        return Metadata(comments=(info["comment"],)), ()
    if kind == "BMP" and info.get("dpi"):
        return Metadata(density=(1, *info["dpi"])), ()
    return Metadata(), ()


def _checked(kind: str, data: bytes, limits: Limits) -> tuple[bytes, str]:
    """The part of a file that Pillow is given, and the number of frames, in words where not all are counted.

    A file is refused if it would cost much before Pillow knows the image's size, or independently of that size. The
    pictures of an MPO are views of one moment and do not count as frames. A WebP's frames are counted while it is open.
    """
    if kind == "JPEG":
        jpeg.check(data)
    elif kind == "PNG":
        data, count = png.picture_alone(data)
        return data, f"{count:,}"
    elif kind == "GIF":
        gif.check(data, limits)
        return data, gif.frames(data)
    elif kind == "WEBP":
        webp.check(data, limits)
    elif kind == "TIFF":
        tiff.check(data, limits)
        return data, tiff.pages(data)
    return data, "1"
