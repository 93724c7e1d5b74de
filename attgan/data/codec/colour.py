"""From an image that Pillow has opened to what a viewer shows: upright, eight bits, sRGB, separate transparency."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from attgan.data.codec import png, tiff
from attgan.data.codec.image import Decoded

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A JPEG has 64 KiB at most.
_MOST_EXIF_BYTES = 2**20
_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_GREY = ("L", "LA", "1", *_DEEP_GREY)


def as_seen(picture: Image.Image, data: bytes) -> Decoded:
    """Load a picture that Pillow has opened, as a viewer shows it. The format has the name that Pillow gives it.

    Args:
        picture: opened, not loaded.
        data: its file.
    """
    notes: list[str] = []
    # Pillow turns a TIFF while it loads it, and then no longer has its orientation.
    turned = isinstance(picture, TiffImagePlugin.TiffImageFile) and _orientation(picture, notes) in _TURNS
    picture.load()
    profile = picture.info.get("icc_profile")
    bits = _bits(picture, data)
    grey = _is_grey(picture, data)
    turn = None if picture.format == "TIFF" else _TURNS.get(_orientation(picture, notes))
    if turned or turn is not None:
        notes.append("turned upright")
    if bits > 8:
        notes.append(f"{bits} bit to 8")
    seen, alpha = _apart(picture, data)
    if turn is not None:
        seen, alpha = seen.transpose(turn), alpha.transpose(turn) if alpha is not None else None
    if seen.mode == "CMYK":
        notes.append("CMYK to RGB")
    if profile:
        seen = _to_srgb(seen, profile, notes)
    return Decoded(
        np.array(seen if seen.mode == "RGB" else seen.convert("RGB")),
        str(picture.format),
        alpha=None if alpha is None else np.array(alpha),
        grey=grey,
        notes=tuple(notes),
    )


def _is_grey(picture: Image.Image, data: bytes) -> bool:
    """Whether it is stored without colour; GIFs, for one, have a palette of greys."""
    if picture.mode == "P":
        colours = np.array(picture.getpalette(), dtype=np.uint8).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return picture.mode in _GREY or (picture.format == "PNG" and png.is_grey(data))


def _orientation(picture: Image.Image, notes: list[str]) -> int:
    """As in EXIF; 1 if that cannot be read: an image is not refused for that."""
    try:
        if isinstance(picture, TiffImagePlugin.TiffImageFile):
            return int(picture.tag_v2.get(ExifTags.Base.Orientation, 1))
        if len(picture.info.get("exif", b"")) > _MOST_EXIF_BYTES:
            raise ValueError("too long")
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    # A hostile file makes Pillow's parsers raise nearly anything.
    except Exception:
        notes.append("EXIF ignored")
        return 1


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


def _to_srgb(picture: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Convert by the embedded colour profile; one that does not fit its image is ignored, as viewers do."""
    try:
        transform = _srgb_transform(profile, picture.mode)
        converted = picture if transform is None else ImageCms.applyTransform(picture, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("colour profile ignored")
        return picture
    if transform is not None:
        notes.append("colour profile to sRGB")
    return converted if converted is not None else picture


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
