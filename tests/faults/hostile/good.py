"""Good files, as people have them: every format, in the kinds that its decoders treat apart."""

from __future__ import annotations

import numpy as np
from PIL import Image, PngImagePlugin

from tests.support.images.colour_profiles import SRGB, black_ink_only, swapped_primaries
from tests.support.images.pictures import noise, saved

SIDE = 64


def good_files() -> dict[str, bytes]:
    """By name, all of 64×64 pixels."""
    pixels = noise(7, SIDE, SIDE)
    colour = Image.fromarray(pixels)
    grey = Image.fromarray(pixels[..., 0])
    clear = colour.copy()
    clear.putalpha(grey)
    ink = Image.fromarray(np.dstack([pixels, pixels[..., 0]]), "CMYK")
    palette = colour.quantize(64)
    wide = Image.fromarray(pixels[..., 1].astype(np.uint16) * 257)
    frames = [Image.fromarray(noise(seed, SIDE, SIDE)) for seed in (8, 9)]
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description that is longer than four bytes"
    exif.get_ifd(0x8769)[0x9286] = b"a comment in the second directory"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "twice " * 40, zip=True)
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    many = {"save_all": True, "append_images": frames}
    swapped = swapped_primaries()
    return {
        "plain.jpg": _saved(colour, quality=90),
        "full-chroma.jpg": _saved(colour, subsampling=0),
        "progressive.jpg": _saved(colour, progressive=True),
        "restarts.jpg": _saved(colour, restart_marker_blocks=2),
        "grey.jpg": _saved(grey),
        "ink.jpg": _saved(ink),
        "ink-profile.jpg": _saved(ink, icc_profile=black_ink_only()),
        "exif.jpg": _saved(colour, exif=exif, xmp=b"<x:xmpmeta/>", comment=b"a comment"),
        "profile.jpg": _saved(colour, icc_profile=swapped),
        "views.jpg": _saved(colour, "MPO", **many),
        "plain.png": _saved(colour, "PNG"),
        "clear.png": _saved(clear, "PNG", exif=exif, icc_profile=swapped, pnginfo=text),
        "grey.png": _saved(grey, "PNG", transparency=9),
        "palette.png": _saved(palette, "PNG", transparency=bytes(range(64))),
        "wide.png": _saved(wide, "PNG"),
        "bits.png": _saved(grey.convert("1"), "PNG"),
        "frames.png": _saved(colour, "PNG", **many),
        "lossy.webp": _saved(colour, "WEBP"),
        "lossless.webp": _saved(clear, "WEBP", lossless=True),
        "clear.webp": _saved(clear, "WEBP", exif=exif, icc_profile=swapped, xmp=b"<x:xmpmeta/>"),
        "frames.webp": _saved(colour, "WEBP", **many),
        "raw.tiff": _saved(colour, "TIFF"),
        "deflate.tiff": _saved(clear, "TIFF", compression="tiff_adobe_deflate", exif=exif, icc_profile=SRGB),
        "lzw.tiff": _saved(ink, "TIFF", compression="tiff_lzw"),
        "jpeg.tiff": _saved(colour, "TIFF", compression="jpeg"),
        "packbits.tiff": _saved(palette, "TIFF", compression="packbits"),
        "fax.tiff": _saved(grey.convert("1"), "TIFF", compression="group4"),
        "wide.tiff": _saved(wide, "TIFF", big_tiff=True),
        "float.tiff": _saved(Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF"),
        "pages.tiff": _saved(colour, "TIFF", **many),
        "plain.gif": _saved(palette, "GIF", comment=b"a comment"),
        "grey.gif": _saved(grey, "GIF"),
        "frames.gif": _saved(palette, "GIF", transparency=3, disposal=2, **many),
        "plain.bmp": _saved(colour, "BMP"),
        "grey.bmp": _saved(grey, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
    }


def _saved(picture: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    # copies: Pillow leaves a format's settings on what it saves
    frames = options.get("append_images", [])
    if isinstance(frames, list) and frames:
        options["append_images"] = [frame.copy() for frame in frames]
    return saved(picture.copy(), format, **options)
