"""From pixels to bytes, in the image's own format or in another."""

from __future__ import annotations

import io
from dataclasses import replace

import imagecodecs
import numpy as np
from PIL import Image

from attgan.data.codec import gif, jpeg, png, tiff
from attgan.data.codec.formats import FORMATS
from attgan.data.codec.image import Decoded
from attgan.data.codec.metadata import Policy, kept
from attgan.data.codec.metadata.exif import only_orientation
from attgan.data.codec.orientation import back, turned
from attgan.errors import DataError, one_line


def encode(
    image: Decoded, *, format: str | None = None, quality: int | None = None, xmp: bytes = b""
) -> bytes:
    """Encode an image in its own format, or in another: :func:`prepare` and :func:`write` at once."""
    return write(prepare(image, format or image.format, mark=xmp), quality)


def prepare(image: Decoded, format: str, policy: Policy = "keep", mark: bytes = b"") -> Decoded:
    """The image as it can be written in a format, with the metadata that are kept, and notes on what is not.

    In its own format it stays turned as it is stored; in another one it is written upright.

    Args:
        image: what to write.
        format: one of :data:`attgan.data.codec.FORMATS`. Transparency that it does not have is left out, see
            :meth:`Decoded.in_format`.
        policy: which metadata are kept, see :func:`attgan.data.codec.metadata.kept`.
        mark: a packet of at most 65,502 bytes that is joined with the image's XMP, see
            :mod:`attgan.data.codec.provenance`; GIF and BMP files are written without it.
    """
    upright = format != image.format and image.orientation != 1
    reduced = ("colours to 256",) if format == "GIF" and not (image.palette or image.grey) else ()
    held = image.in_format(format)
    if format == "TIFF" and held.metadata.exif and not tiff.can_write(held.metadata.exif):
        exif = only_orientation(held.metadata.orientation)
        held = replace(held, metadata=replace(held.metadata, exif=exif), notes=(*held.notes, "EXIF dropped"))
    metadata, notes = kept(held.metadata, format, policy, mark, upright=upright)
    return replace(
        held,
        metadata=metadata,
        orientation=1 if upright else held.orientation,
        notes=(*held.notes, *reduced, *notes),
    )


def write(image: Decoded, quality: int | None = None) -> bytes:
    """Encode a prepared image.

    A grey image is written grey, in all formats but WebP, which has no grey.

    Args:
        image: from :func:`prepare`.
        quality: 1 to 100, for JPEG and WebP (but not for a lossless one). None: a JPEG keeps its tables, its
            sampling, and progressive or optimised coding; others are written at :data:`attgan.data.codec.jpeg.QUALITY`.

    Raises:
        DataError: stage ``encode``: the format cannot hold the image (WebP beyond 16,383 pixels, for example).
    """
    try:
        if image.format == "JPEG":
            return jpeg.write(jpeg.encode(image, quality), image.metadata)
        if image.format == "PNG":
            return png.write(_png(image), image.metadata)
        if image.format == "TIFF":
            return tiff.write(_samples(image), image.metadata, image.alpha is not None)
        buffer = io.BytesIO()
        picture = _as_picture(_samples(image))
        # All greys fit into a palette.
        if image.format == "GIF" and image.palette and not image.grey:
            picture = gif.in_palette(image.pixels, image.alpha, image.palette)
        picture.save(buffer, image.format, **_options(image, quality))
        return buffer.getvalue()
    except (ValueError, OSError, KeyError, OverflowError) as error:
        raise DataError("encode", f"as {image.format}: {one_line(error)}") from error


def _samples(image: Decoded) -> np.ndarray:
    """``(H, W)`` or ``(H, W, C)``, with alpha last, turned as in the file."""
    stored = image.stored
    colours = image.pixels if stored is None else stored.samples
    if image.grey and colours.ndim == 3 and FORMATS[image.format].grey:
        colours = np.asarray(Image.fromarray(colours).convert("L"))
    alpha = image.alpha
    if alpha is not None:
        if stored is not None and stored.is_deep:
            alpha = alpha.astype(np.uint16) * 257 if stored.alpha is None else stored.alpha
        colours = np.dstack([colours, alpha])
    return turned(colours, back(image.orientation))


def _png(image: Decoded) -> bytes:
    samples = _samples(image)
    if samples.dtype == np.uint16:
        return bytes(imagecodecs.png_encode(samples, level=4))
    buffer = io.BytesIO()
    _as_picture(samples).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _as_picture(samples: np.ndarray) -> Image.Image:
    channels = samples.shape[2] if samples.ndim == 3 else 1
    return Image.fromarray(samples, "LA" if channels == 2 else None)


def _options(image: Decoded, quality: int | None) -> dict[str, object]:
    metadata = image.metadata
    if image.format == "WEBP":
        # With `exact` the colour of transparent pixels is kept, too.
        stored: dict[str, object] = (
            {"lossless": True, "exact": True} if image.lossless else {"quality": quality or jpeg.QUALITY}
        )
        texts = {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": metadata.profile}
        return stored | {name: data for name, data in texts.items() if data}
    if image.format == "GIF":
        options: dict[str, object] = {"comment": metadata.comments[0]} if metadata.comments else {}
        if image.palette and not image.grey and image.alpha is not None:
            # Pillow would leave out colours that no pixel has, and give the others new numbers.
            options |= {"optimize": False, "transparency": len(image.palette) // 3}
        return options
    if image.format == "BMP" and metadata.density is not None and metadata.density[0]:
        unit, across, down = metadata.density
        return {"dpi": tuple(side * (2.54 if unit == 2 else 1) for side in (across, down))}
    return {}
