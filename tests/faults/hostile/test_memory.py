"""A decode holds so much per pixel and per byte as :class:`attgan.data.codec.Limits` says, and no more.

Measured in what a photograph needs on the same machine, which is 10 bytes per pixel.
"""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.faults.hostile.verdicts import PHOTOGRAPH_SIDE, photograph_cost, too_dear, verdicts
from tests.support.images.colour_profiles import black_ink_only, linear_grey, swapped_primaries
from tests.support.images.pictures import noise, saved
from tests.support.images.raw_images import (
    chunk,
    gif,
    png,
    riff,
    segment,
    tiff,
    tiff_of,
    wide_png,
    with_segments,
)

MEBI = 2**20
PER_BYTE = 6
SIDE = 900


def many_pixels() -> dict[str, bytes]:
    """The dearest kinds of each format."""
    pixels = noise(1, SIDE, SIDE)
    colour, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    clear = colour.copy()
    clear.putalpha(grey)
    clear_grey = grey.copy()
    clear_grey.putalpha(grey)
    ink = Image.fromarray(np.dstack([pixels, pixels[..., 0]]), "CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.dstack([pixels, pixels[..., :1]]).astype(np.uint16) * 257
    turned = {"exif": exif, "icc_profile": swapped_primaries()}
    return {
        "plain.jpg": saved(colour),
        "progressive.jpg": saved(colour, progressive=True, subsampling=0, **turned),
        "ink.jpg": saved(ink, progressive=True, exif=exif, icc_profile=black_ink_only()),
        "clear.png": saved(clear, "PNG", **turned),
        "clear-grey.png": saved(clear_grey, "PNG", exif=exif, icc_profile=linear_grey()),
        "palette.png": saved(colour.quantize(200), "PNG", transparency=3, **turned),
        "wide.png": wide_png(wide),
        "wide-grey.png": wide_png(wide[..., :1], chunk(b"tRNS", b"\1\1")),
        "clear.webp": saved(clear, "WEBP", **turned),
        "lossless.webp": saved(clear, "WEBP", lossless=True, **turned),
        "frames.webp": saved(clear, "WEBP", save_all=True, append_images=[colour], exif=exif),
        "raw.tiff": saved(clear, "TIFF", **turned),
        "deflate.tiff": saved(clear, "TIFF", compression="tiff_adobe_deflate", **turned),
        "jpeg.tiff": saved(colour, "TIFF", compression="jpeg"),
        "wide-ink.tiff": tiff_of(wide, 5),
        "wide-grey.tiff": tiff_of(wide[..., :1], 0, compression=8),
        "float.tiff": tiff_of(wide[..., :1].astype(np.float32), 1, compression=8),
        "clear.gif": saved(colour.quantize(200), "GIF", transparency=3),
        "plain.bmp": saved(colour, "BMP"),
        "palette.bmp": saved(colour.quantize(200), "BMP"),
    }


def many_bytes() -> dict[str, bytes]:
    """Small pictures with 8 MB of something else, as much of it as the codec lets pass."""
    size = 8 * MEBI
    jpeg, webp = (saved(noise(2, 64, 64), format) for format in ("JPEG", "WEBP"))
    pixel = png(8, 0, [b"\0"], 1)
    head, rest = pixel[:33], pixel[33:]
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x9999, 4, size // 4, 26, 0) + bytes(size)
    grey = np.zeros((1, 1, 1), np.uint8)
    extended = (b"VP8X", b"\x2c\0\0\0\x3f\0\0\x3f\0\0")
    return {
        "segments.jpg": with_segments(jpeg, *[segment(0xE4, bytes(65_000))] * (size // 65_002)),
        "segments-with-exif.jpg": with_segments(
            jpeg, *[segment(0xE1, exif[:60_000])] * 16, *[segment(0xE4, bytes(65_000))] * 110
        ),
        "profile.jpg": with_segments(
            jpeg, *[segment(0xE2, b"ICC_PROFILE\0" + bytes([i, 120]) + bytes(65_000)) for i in range(1, 121)]
        ),
        "film-behind.jpg": jpeg + bytes(size),
        "text.png": head + chunk(b"tEXt", b"Comment\0" + bytes(size)) + rest,
        "history.png": head + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * size) + rest,
        "exif.png": head + chunk(b"eXIf", exif[6:]) + rest,
        "pixel-chunks.png": head + chunk(b"IDAT", b"") * 90_000 + rest,
        "exif.webp": riff(extended, (b"VP8 ", webp[20:]), (b"EXIF", exif[6:])),
        "profile.webp": riff(extended, (b"ICCP", bytes(size)), (b"VP8 ", webp[20:])),
        "unknown.webp": riff(extended, (b"VP8 ", webp[20:]), (b"abcd", bytes(size))),
        "bytes.tiff": tiff_of(grey, 1, extra=[(60_000, 7, size, bytes(size))]),
        "numbers.tiff": tiff_of(grey, 1, extra=[(60_000, 4, MEBI, bytes(4 * MEBI))]),
        "strips.tiff": tiff(
            [
                (256, 4, 1, 1),
                (257, 4, 1, 65_536),
                (258, 3, 1, 8),
                (262, 3, 1, 1),
                (273, 4, 65_536, bytes(262_144)),
                (278, 4, 1, 1),
            ]
        ),
        "comments.gif": gif((1, 1), front=b"\x21\xfe" + b"\x02ab" * 49_000 + b"\0"),
        "long-comments.gif": gif((1, 1), front=b"\x21\xfe" + (b"\xff" + bytes(255)) * (size // 256) + b"\0"),
    }


def test_memory_is_bounded_by_the_pixels() -> None:
    files = many_pixels()
    found, _ = verdicts(files)
    assert {verdict.kind for verdict in found.values()} == {"image"}
    pixels = photograph_cost() / PHOTOGRAPH_SIDE**2 * SIDE**2
    assert not too_dear(files, found, lambda name: 3 * pixels + PER_BYTE * len(files[name]))
    short_way = {"plain.jpg": files["plain.jpg"]}
    assert not too_dear(short_way, verdicts(short_way)[0], lambda name: 0.5 * pixels), (
        "it holds the pixels alone"
    )


# Pixels cost far more than bytes do.
@pytest.mark.long
def test_memory_is_bounded_by_the_bytes() -> None:
    files = many_bytes()
    found, _ = verdicts(files)
    assert {verdict.kind for verdict in found.values()} == {"image"}
    assert not too_dear(files, found, lambda name: photograph_cost() + PER_BYTE * len(files[name]))


def test_the_measure_sees_what_is_held() -> None:
    found, _ = verdicts({"large.png": saved(noise(1, SIDE, SIDE), "PNG")})
    assert found["large.png"].grown > 3 * SIDE * SIDE, "the decoded pixels at least"
    assert photograph_cost() > 3 * PHOTOGRAPH_SIDE**2
