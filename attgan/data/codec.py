"""Image bytes ↔ pixels: one way in, one way out, for shards and for edits.

Plain JPEGs take libjpeg-turbo's short way (simplejpeg: 178×218 at about twice Pillow's rate, and its threads scale,
since it releases the interpreter lock); everything else, and every JPEG that the short way does not accept without a
warning, is Pillow's to decide, so a file is called broken only when Pillow says so.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass, replace

import numpy as np
import PIL
import simplejpeg
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from attgan.errors import DataError

VERSION = f"simplejpeg {simplejpeg.__version__}, pillow {PIL.__version__}"
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}

# :class:`Limits` is the one limit on pixels: Pillow's own, which is a global, would refuse what a user has allowed.
Image.MAX_IMAGE_PIXELS = None
# Pillow's parsers warn and log about every damaged tag; here a file is good or it raises.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())

# A JPEG that carries one of these needs more than its pixels: an orientation, or a colour profile.
_NEEDS_PILLOW = {0xE1: b"Exif\x00\x00", 0xE2: b"ICC_PROFILE\x00"}
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\x00"
_START_OF_SCAN = 0xDA
_SUBSAMPLINGS = {0: "444", 1: "422", 2: "420"}
_MOST_PAGES = 1000
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
        lossless: a WebP stored without loss, so that it is written back alike.
        notes: what was changed or left out on the way in (``16 bit to 8``, ``first of 3 frames``, …).
    """

    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    subsampling: str = "420"
    lossless: bool = False
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
    if data[:2] == b"\xff\xd8" and _is_plain(data):
        decoded = _decode_plain_jpeg(data, limits)
        if decoded is not None:
            return decoded
    return _decode_with_pillow(data, limits)


def encode(
    image: Decoded, *, format: str | None = None, quality: int = 95, xmp: bytes | None = None
) -> bytes:
    """Encode an image in its own format, or in another.

    Args:
        image: what to write.
        format: one of :data:`FORMATS`; None keeps the image's own.
        quality: 1 to 100, for JPEG and WebP (but not for a lossless one).
        xmp: a packet of at most 65,502 bytes to put into the file, see :mod:`attgan.data.provenance`; GIF and BMP have
            no room for it.

    Raises:
        DataError: stage ``encode``: the format cannot hold the image (WebP beyond 16,383 pixels, say).
    """
    format = format or image.format
    try:
        if format == "JPEG":
            data = simplejpeg.encode_jpeg(
                np.ascontiguousarray(image.pixels),
                quality=quality,
                colorspace="RGB",
                colorsubsampling=image.subsampling,
            )
            return _with_xmp(data, xmp) if xmp else bytes(data)
        pixels = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
        picture = Image.fromarray(pixels)
        if format == "BMP":
            picture = picture.convert("RGB")
        buffer = io.BytesIO()
        picture.save(buffer, format, **_save_options(image, format, quality, xmp))
        return buffer.getvalue()
    except (ValueError, OSError, KeyError) as error:
        raise DataError("encode", f"as {format}: {_one_line(error)}") from error


def _with_xmp(jpeg: bytes, xmp: bytes) -> bytes:
    """A segment of its own behind the JFIF header (XMP specification, part 3, 1.1.3); nothing is encoded again."""
    start = 4 + int.from_bytes(jpeg[4:6]) if jpeg[2:4] == b"\xff\xe0" else 2
    segment = b"\xff\xe1" + (2 + len(_XMP_SEGMENT) + len(xmp)).to_bytes(2) + _XMP_SEGMENT + xmp
    return jpeg[:start] + segment + jpeg[start:]


def _save_options(image: Decoded, format: str, quality: int, xmp: bytes | None) -> dict[str, object]:
    if format == "WEBP":
        # exact: the colour of transparent pixels is kept as well
        stored: dict[str, object] = (
            {"lossless": True, "exact": True} if image.lossless else {"quality": quality}
        )
        return {**stored, "xmp": xmp} if xmp else stored
    if format == "TIFF":
        tags = {"tiffinfo": {TiffImagePlugin.XMP: xmp}} if xmp else {}
        return {"compression": "tiff_adobe_deflate", **tags}
    if format == "PNG":
        text = PngImagePlugin.PngInfo()
        if xmp:
            text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"compress_level": 4, "pnginfo": text}
    return {}


def _is_plain(data: bytes) -> bool:
    """Whether a JPEG's segments, up to its first scan, are in order and ask for nothing but its pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _START_OF_SCAN:
            return True
        if marker in _NEEDS_PILLOW and data.startswith(_NEEDS_PILLOW[marker], at + 4):
            return False
        length = (data[at + 2] << 8) | data[at + 3]
        if length < 2:
            return False
        at += 2 + length
    return False


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
        if (canvas := _webp_canvas(data)) is not None:
            _refuse_bomb(*canvas, limits)
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _refuse_bomb(*picture.size, limits)
            picture.load()
            decoded = _as_seen(picture, "JPEG" if picture.format == "MPO" else str(picture.format))
            frames = _frames(picture, data)
        notes = (*decoded.notes, f"first of {frames} frames") if frames else decoded.notes
        return replace(decoded, lossless=_is_lossless_webp(data), notes=notes)
    except (DataError, MemoryError):
        raise
    except PIL.UnidentifiedImageError as error:
        raise DataError("decode", f"not an image of a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # a hostile file makes Pillow's parsers raise nearly anything
        raise DataError("decode", _one_line(error)) from error


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Width and height of an extended WebP, whose whole canvas Pillow allocates while it opens the file."""
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8X" or len(data) < 30:
        return None
    return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the first bitstream of a WebP (of an animation, that of its first frame) is VP8L."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return False
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8L", b"VP8 "):
            return bool(kind == b"VP8L")
        # a frame's chunks follow its own header of 16 bytes; others are skipped, padded to an even size
        at += 24 if kind == b"ANMF" else 8 + size + size % 2
    return False


def _frames(picture: Image.Image, data: bytes) -> str:
    """How many frames a file has, in words where that is not known; empty for one. MPO has views, not frames."""
    if picture.format in ("PNG", "WEBP"):
        count = int(getattr(picture, "n_frames", 1))
        return f"{count:,}" if count > 1 else ""
    if picture.format not in ("GIF", "TIFF"):
        return ""
    # counted in a second look, since a damaged later frame must not spoil the first
    try:
        with Image.open(io.BytesIO(data), formats=[picture.format]) as again:
            if not getattr(again, "is_animated", False):
                return ""
            count = _pages(again) if picture.format == "TIFF" else int(getattr(again, "n_frames", 1))
    except Exception:  # as in _decode_with_pillow
        return "several"
    return f"{count:,}" if count < _MOST_PAGES or picture.format == "GIF" else f"{count:,} or more"


def _pages(picture: Image.Image) -> int:
    """A TIFF's pages, to a limit: Pillow's own count takes the square of their number."""
    count = 1
    while count < _MOST_PAGES:
        try:
            picture.seek(count)
        except EOFError:
            break
        count += 1
    return count


def _as_seen(picture: Image.Image, format: str) -> Decoded:
    """Upright, sRGB, eight bits, alpha apart."""
    notes: list[str] = []
    subsampling = _subsampling(picture)
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
    return Decoded(pixels, format, alpha, subsampling, notes=tuple(notes))


def _subsampling(picture: Image.Image) -> str:
    if picture.format in ("JPEG", "MPO") and picture.mode == "L":
        return "Gray"
    return _SUBSAMPLINGS.get(JpegImagePlugin.get_sampling(picture), "420")


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
