"""From pixels to bytes, in the image's own format or in another."""

from __future__ import annotations

import io

from PIL import Image, PngImagePlugin, TiffImagePlugin

from attgan.data.codec import jpeg
from attgan.data.codec.decoding import one_line
from attgan.data.codec.image import Decoded
from attgan.errors import DataError

_WITH_GREY = ("PNG", "TIFF", "GIF", "BMP")


def encode(
    image: Decoded, *, format: str | None = None, quality: int | None = None, xmp: bytes | None = None
) -> bytes:
    """Encode an image in its own format, or in another.

    A grey image is written grey, in all formats but WebP, which has no grey.

    Args:
        image: what to write.
        format: one of :data:`attgan.data.codec.FORMATS`; None keeps the image's own. Transparency that it does not
            have is left out, see :meth:`Decoded.in_format`.
        quality: 1 to 100, for JPEG and WebP (but not for a lossless one). None: a JPEG keeps its tables, its
            sampling, and progressive or optimised coding; others are written at :data:`attgan.data.codec.jpeg.QUALITY`.
        xmp: a packet of at most 65,502 bytes to put into the file, see :mod:`attgan.data.codec.provenance`; GIF and
            BMP files are written without it.

    Raises:
        DataError: stage ``encode``: the format cannot hold the image (WebP beyond 16,383 pixels, for example).
    """
    image = image.in_format(format or image.format)
    try:
        if image.format == "JPEG":
            return jpeg.with_xmp(jpeg.encode(image, quality), xmp)
        buffer = io.BytesIO()
        _picture(image).save(buffer, image.format, **_options(image, quality, xmp))
        return buffer.getvalue()
    except (ValueError, OSError, KeyError, OverflowError) as error:
        raise DataError("encode", f"as {image.format}: {one_line(error)}") from error


def _picture(image: Decoded) -> Image.Image:
    picture = Image.fromarray(image.pixels)
    if image.grey and image.format in _WITH_GREY:
        picture = picture.convert("L")
    if image.alpha is not None:
        picture.putalpha(Image.fromarray(image.alpha))
    return picture


def _options(image: Decoded, quality: int | None, xmp: bytes | None) -> dict[str, object]:
    if image.format == "WEBP":
        # With `exact` the colour of transparent pixels is kept, too.
        stored: dict[str, object] = (
            {"lossless": True, "exact": True} if image.lossless else {"quality": quality or jpeg.QUALITY}
        )
        return {**stored, "xmp": xmp} if xmp else stored
    if image.format == "TIFF":
        tags = {"tiffinfo": {TiffImagePlugin.XMP: xmp}} if xmp else {}
        return {"compression": "tiff_adobe_deflate", **tags}
    if image.format == "PNG":
        text = PngImagePlugin.PngInfo()
        if xmp:
            text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"compress_level": 4, "pnginfo": text}
    return {}
