"""Image bytes ↔ pixels: one way in, one way out, for shards and for edits.

Plain JPEGs take libjpeg-turbo's short way (simplejpeg: 178×218 at about twice Pillow's rate, and its threads scale,
since it releases the interpreter lock); everything else, and every JPEG that the short way does not accept without a
warning, is Pillow's to decide, so a file is called broken only when Pillow says so.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace

import numpy as np
import PIL
import simplejpeg
from PIL import Image, ImageCms, ImageOps

from attgan.errors import DataError

VERSION = f"simplejpeg {simplejpeg.__version__}, pillow {PIL.__version__}"
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}

# A JPEG that carries one of these needs more than its pixels: an orientation, or a colour profile.
_NEEDS_PILLOW = re.compile(rb"Exif\x00\x00|ICC_PROFILE\x00")
_HEADER_BYTES = 65536
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


@dataclass(frozen=True)
class Limits:
    """What a single input may cost before it is refused unread."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000


@dataclass(frozen=True)
class Decoded:
    """An image as the eye sees it: upright, sRGB, eight bits.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB.
        format: one of :data:`FORMATS`, by content, whatever the key's extension says.
        alpha: ``(H, W)`` uint8, or None; kept aside so that an edit leaves it as it was.
        subsampling: a JPEG's chroma subsampling (``444``, ``422``, ``420`` …), so that it is written back alike.
        notes: what was changed on the way in (``16 bit to 8``, ``turned upright``, …).
    """

    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    subsampling: str = "420"
    notes: tuple[str, ...] = ()

    def with_pixels(self, pixels: np.ndarray) -> Decoded:
        """The same image with other pixels ``(H, W, 3)`` uint8; alpha is kept only where the size still fits."""
        fits = self.alpha is not None and self.alpha.shape == pixels.shape[:2]
        return replace(self, pixels=pixels, alpha=self.alpha if fits else None)


def decode(data: bytes, limits: Limits = Limits()) -> Decoded:
    """Decode an image.

    Raises:
        DataError: stage ``decode``: empty, too large, not an image, truncated or corrupt.
    """
    if not data:
        raise DataError("decode", "the file is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        raise DataError("decode", f"{len(data):,} bytes; the limit is {limits.max_bytes:,}")
    if data[:2] == b"\xff\xd8" and not _NEEDS_PILLOW.search(data, 0, _HEADER_BYTES):
        decoded = _decode_plain_jpeg(data, limits)
        if decoded is not None:
            return decoded
    return _decode_with_pillow(data, limits)


def encode(image: Decoded, *, format: str | None = None, quality: int = 95) -> bytes:
    """Encode an image in its own format, or in another.

    Args:
        image: what to write.
        format: one of :data:`FORMATS`; None keeps the image's own.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        DataError: stage ``encode``: the format cannot hold the image (WebP beyond 16,383 pixels, say).
    """
    format = format or image.format
    try:
        if format == "JPEG":
            return bytes(
                simplejpeg.encode_jpeg(
                    np.ascontiguousarray(image.pixels),
                    quality=quality,
                    colorspace="RGB",
                    colorsubsampling=image.subsampling,
                )
            )
        pixels = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
        picture = Image.fromarray(pixels)
        if format == "BMP":
            picture = picture.convert("RGB")
        buffer = io.BytesIO()
        picture.save(buffer, format, **_SAVE_OPTIONS.get(format, {}), **_quality_option(format, quality))
        return buffer.getvalue()
    except (ValueError, OSError, KeyError) as error:
        raise DataError("encode", f"as {format}: {_one_line(error)}") from error


_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "PNG": {"compress_level": 4},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}


def _quality_option(format: str, quality: int) -> dict[str, int]:
    return {"quality": quality} if format == "WEBP" else {}


def _decode_plain_jpeg(data: bytes, limits: Limits) -> Decoded | None:
    """The short way, or None where Pillow should have a look."""
    try:
        height, width, colorspace, subsampling = simplejpeg.decode_jpeg_header(data)
        if colorspace not in ("YCbCr", "Gray"):
            return None
        _refuse_bomb(width, height, limits)
        pixels = simplejpeg.decode_jpeg(data, colorspace="RGB")
    except ValueError:
        return None
    return Decoded(pixels, "JPEG", subsampling=subsampling if colorspace == "YCbCr" else "Gray")


def _decode_with_pillow(data: bytes, limits: Limits) -> Decoded:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _refuse_bomb(*picture.size, limits)
            format = "JPEG" if picture.format == "MPO" else str(picture.format)
            picture.load()
            return _as_seen(picture, format)
    except (DataError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise DataError("decode", _one_line(error)) from error
    except PIL.UnidentifiedImageError as error:
        raise DataError("decode", f"not an image of a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # a hostile file makes Pillow's parsers raise nearly anything
        raise DataError("decode", _one_line(error)) from error


def _as_seen(picture: Image.Image, format: str) -> Decoded:
    """Upright, sRGB, eight bits, alpha apart."""
    notes: list[str] = []
    profile = picture.info.get("icc_profile")
    turned = ImageOps.exif_transpose(picture)
    if turned.size != picture.size or picture.getexif().get(0x0112, 1) != 1:
        notes.append("turned upright")
    picture = turned
    if picture.mode in _SIXTEEN_BIT:
        picture = _eight_bit(picture)
        notes.append("16 bit to 8")
    alpha = None
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        alpha = np.asarray(picture.getchannel("A"))
    if picture.mode == "CMYK":
        notes.append("CMYK to RGB")
    if profile:
        picture = _to_srgb(picture, profile, notes)
    pixels = np.array(picture.convert("RGB"))
    return Decoded(pixels, format, alpha, notes=tuple(notes))


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Grey beyond eight bits, scaled from the range of its type (0..65535), not clipped as a plain conversion would."""
    values = np.asarray(picture).astype(np.float64)
    top = 1.0 if picture.mode == "F" and values.max(initial=0) <= 1.0 else 65535.0
    return Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8))


def _to_srgb(picture: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Through the embedded colour profile; a profile that does not fit its image is ignored, as viewers do."""
    if picture.mode not in ("RGB", "CMYK", "L"):
        picture = picture.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("colour profile ignored")
        return picture
    notes.append("colour profile to sRGB")
    return converted if converted is not None else picture


def _refuse_bomb(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        pixels = f"{width:,}×{height:,} is {width * height:,} pixels"
        raise DataError("decode", f"{pixels}; the limit is {limits.max_pixels:,}")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
