"""From a picture as its file stores it to what a viewer shows: upright, eight bits, sRGB, separate transparency."""

from __future__ import annotations

import functools
import io
from dataclasses import replace

import imagecodecs
import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from attgan.data.codec import png, tiff
from attgan.data.codec.image import Decoded
from attgan.data.codec.metadata import Metadata
from attgan.data.codec.orientation import upright
from attgan.data.codec.stored import Stored, eight_bits

_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_GREY = ("L", "LA", "1", *_DEEP_GREY)


def as_seen(picture: Image.Image, data: bytes, metadata: Metadata) -> Decoded:
    """Load a picture that Pillow has opened, as a viewer shows it. The format has the name that Pillow gives it.

    Args:
        picture: opened, not loaded.
        data: its file.
        metadata: of the file.
    """
    bits, size = _bits(picture, data), picture.size
    is_deep = bits == 16 and _is_plain_sixteen_bit(picture)
    grey, orientation = _is_grey(picture, data), metadata.orientation
    picture.load()
    # Only what Pillow has loaded without complaint is given to another library.
    deep = _sixteen_bits(picture, data, size) if is_deep else None
    palette = _palette(picture)
    colours, alpha = _apart(picture, data)
    format = str(picture.format)
    # Pillow turns a TIFF while it loads it.
    orientation_left = 1 if format == "TIFF" else orientation
    if deep is not None:
        # Pillow's own are wrong for a TIFF of separate planes.
        colours, orientation_left = Image.fromarray(eight_bits(deep.samples)), orientation
        alpha = alpha if deep.alpha is None else Image.fromarray(eight_bits(deep.alpha))
    if colours is not picture:
        # Its memory is needed for what comes next.
        picture.close()
    colours = upright(colours, orientation_left)
    alpha = None if alpha is None else upright(alpha, orientation_left)
    decoded = shown(
        colours,
        format,
        metadata,
        alpha=alpha,
        deep=None if deep is None else deep.turned(orientation),
        grey=grey,
        notes=(f"{bits} bit to 8",) if bits > 8 and deep is None else (),
    )
    return replace(decoded, palette=palette)


def shown(
    colours: Image.Image,
    format: str,
    metadata: Metadata,
    *,
    alpha: Image.Image | None = None,
    deep: Stored | None = None,
    grey: bool = False,
    notes: tuple[str, ...] = (),
) -> Decoded:
    """An upright picture, L, RGB or CMYK, in sRGB, with its own samples where they differ.

    Args:
        colours: of eight bits.
        format: of the file.
        metadata: of the file.
        alpha: L, upright.
        deep: its samples of 16 bits.
        grey: stored without colour.
        notes: what has been changed before.
    """
    converted = _to_srgb(colours, metadata.profile) if metadata.profile else colours
    if converted is None:
        notes, converted = (*notes, "colour profile ignored"), colours
    stored = deep
    if deep is None and (converted is not colours or colours.mode == "CMYK"):
        stored = Stored(np.array(colours))
    if stored is not None and converted is not colours:
        stored = replace(stored, profile=metadata.profile)
    return Decoded(
        np.array(converted if converted.mode == "RGB" else converted.convert("RGB")),
        format,
        alpha=None if alpha is None else np.array(alpha),
        grey=grey,
        stored=stored,
        metadata=metadata,
        orientation=metadata.orientation,
        notes=notes,
    )


def _is_plain_sixteen_bit(picture: Image.Image) -> bool:
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return tiff.is_plain_sixteen_bit(picture)
    return picture.format == "PNG"


def _sixteen_bits(picture: Image.Image, data: bytes, size: tuple[int, int]) -> Stored | None:
    """The samples of a PNG or TIFF of 16 bits and this size, as stored; None if they are not readable as such."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        samples = imagecodecs.tiff_decode(data)
        if samples.ndim == 3 and samples.shape[1:] == size[::-1]:
            # Of separate planes.
            samples = samples.transpose(1, 2, 0)
        if tiff.white(picture)[1]:
            samples = 65535 - samples
    else:
        samples = imagecodecs.png_decode(png.samples_alone(data))
    if samples.dtype != np.uint16 or samples.shape[:2] != size[::-1]:
        return None
    channels = samples.shape[2] if samples.ndim == 3 else 1
    alpha = np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None
    colours = samples if samples.ndim == 2 else samples[..., 0] if channels < 3 else samples[..., :3]
    return Stored(np.ascontiguousarray(colours), alpha=alpha)


def _palette(picture: Image.Image) -> bytes:
    """A GIF's colours, without the transparent one; empty for others."""
    if picture.format != "GIF" or picture.mode != "P":
        return b""
    colours = bytearray(picture.getpalette("RGB") or ())
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        del colours[3 * clear : 3 * clear + 3]
    return bytes(colours)


def _is_grey(picture: Image.Image, data: bytes) -> bool:
    """Whether it is stored without colour; GIFs, for one, have a palette of greys."""
    if picture.mode == "P":
        colours = np.array(picture.getpalette(), dtype=np.uint8).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return picture.mode in _GREY or (picture.format == "PNG" and png.is_grey(data))


def _bits(picture: Image.Image, data: bytes) -> int:
    """Bits per sample, as stored."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return max(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    return png.bits(data) if picture.format == "PNG" else 8


def _apart(picture: Image.Image, data: bytes) -> tuple[Image.Image, Image.Image | None]:
    """Colours (L, RGB or CMYK, as stored) and transparency (L), both of eight bits."""
    clear = picture.info.get("transparency")
    if picture.mode in _DEEP_GREY:
        values = np.asarray(picture)
        alpha = None if clear is None else Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        return Image.fromarray(_eight_bit_grey(values, picture)), alpha
    if clear is not None and picture.format == "PNG":
        picture.info["transparency"] = png.clear_colour(clear, data)
    if picture.mode == "LA":
        return picture.getchannel("L"), picture.getchannel("A")
    if picture.mode in ("RGBA", "PA") or clear is not None:
        both = picture.convert("RGBA")
        return both.convert("RGB"), both.getchannel("A")
    return picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB"), None


def _eight_bit_grey(values: np.ndarray, picture: Image.Image) -> np.ndarray:
    """Grey of eight bits, scaled from the range of its type. Pillow's conversion would clip it."""
    top, inverted = 65535.0, False
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        top, inverted = tiff.white(picture)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0)
        if values.max(initial=0) > 1:
            top = 65535.0
    scaled = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):
        # Row by row, so that only one row is in memory in the wider type.
        wide = line.astype(np.uint32 if top > 2**31 else np.float64)
        scaled[row] = np.clip(np.rint(wide * (255 / top)), 0, 255)
    return 255 - scaled if inverted else scaled


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert by the embedded colour profile; None for one that does not fit its image, which viewers ignore, too.

    A picture whose profile is sRGB, as most are, is returned as it is.
    """
    try:
        transform = _srgb_transform(profile, picture.mode)
        return picture if transform is None else ImageCms.applyTransform(picture, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def is_srgb(profile: bytes, mode: str) -> bool:
    """Whether colours of this mode (L, RGB) need no conversion; empty profiles are sRGB."""
    try:
        return not profile or _srgb_transform(profile, mode) is None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False


@functools.lru_cache(maxsize=16)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB; None if it changes at most the rounding, as most photographs' profile is sRGB."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "CMYK":
        return transform
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 18, 3)
    sample = Image.fromarray(colours).convert(mode)
    changed = ImageCms.applyTransform(sample, transform)
    assert changed is not None
    before, after = (np.asarray(image.convert("RGB")).astype(int) for image in (sample, changed))
    return None if np.abs(before - after).max() <= 1 else transform
