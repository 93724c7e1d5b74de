"""Files made by hand: no images at all, images that are odd but good, and ones that cost far more than they show."""

from __future__ import annotations

import base64
import gzip
import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.faults.hostile.good import SIDE, good_files
from tests.support.images.pictures import noise, saved
from tests.support.images.raw_images import (
    DATA,
    Entry,
    bmp,
    chunk,
    gif,
    gif_frame,
    png,
    png_header,
    riff,
    segment,
    tiff,
    tiff_of,
    with_segments,
)

PIXELS = noise(11, SIDE, SIDE)
JPEG, PNG, WEBP = (saved(PIXELS, format) for format in ("JPEG", "PNG", "WEBP"))
GIF = good_files()["frames.gif"]
_ROWS = [bytes([10, 20, 30]) * SIDE] * SIDE
# Everything in front of the pixels, and the pixels.
_PNG_HEAD, _PNG_PIXELS = png(8, 2, _ROWS, SIDE)[:33], png(8, 2, _ROWS, SIDE)[33:]
_DIRECTORY: list[Entry] = [
    (256, 4, 1, 1),
    (257, 4, 1, 1),
    (258, 3, 1, 8),
    (259, 3, 1, 1),
    (262, 3, 1, 1),
    (273, 4, 1, DATA),
    (277, 3, 1, 1),
    (278, 4, 1, 1),
    (279, 4, 1, 1),
]


def no_images() -> dict[str, bytes]:
    """What lies in buckets under an image's name; none of it may pass for one."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(zipfile.ZipInfo("face.jpg"), JPEG)
        archive.writestr(zipfile.ZipInfo("zeros"), bytes(5_000_000), zipfile.ZIP_DEFLATED)
    denied = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
    return {
        "empty.jpg": b"",
        "one-zero-byte.png": b"\0",
        "zeros.jpg": bytes(1000),
        "ones.bmp": b"\xff" * 1000,
        "text.png": b"I am not an image\n",
        "utf-16.txt.jpg": "not an image".encode("utf-16"),
        "page.jpg": b"<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "denied.jpg": denied,
        "document.jpg": b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        "postscript.tiff": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        "archive.jpg": zipped.getvalue(),
        "packed.jpg.gz.jpg": gzip.compress(JPEG, mtime=0),
        "seven.webp": b"7z\xbc\xaf\x27\x1c" + bytes(26),
        "windows.gif": b"MZ\x90\0" + bytes(60) + b"PE\0\0" + bytes(200),
        "linux.png": b"\x7fELF\x02\x01\x01" + bytes(200),
        "script.jpg": b"#!/bin/sh\nrm -rf /tmp/nothing\n",
        "pickle.jpg": pickle.dumps({"weights": [1.0] * 10}, protocol=4),
        "table.jpg": b"PAR1" + bytes(100) + b"PAR1",
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "base64.jpg": base64.b64encode(JPEG),
        "data-url.png": b"data:image/png;base64," + base64.b64encode(PNG),
        "film.jpg": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100),
        "phone.heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
        "photo.avif": saved(PIXELS, "AVIF"),
        "photo.jp2.jpg": saved(PIXELS, "JPEG2000"),
        "icon.png": saved(PIXELS, "ICO", sizes=[(32, 32)]),
        "portable.jpg": saved(PIXELS, "PPM"),
        "targa.bmp": saved(PIXELS, "TGA"),
        "paintbrush.bmp": saved(PIXELS, "PCX"),
        "layers.tiff": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(100),
        "sound.webp": riff((b"fmt ", bytes(16)), (b"data", bytes(100)), kind=b"WAVE"),
        "film.webp": riff((b"LIST", b"hdrl" + bytes(60)), kind=b"AVI "),
        "mark-in-front.jpg": b"\xef\xbb\xbf" + JPEG,
        "sent-as-text.png": PNG.replace(b"\r\n", b"\n"),
        "start-only.jpg": b"\xff\xd8\xff",
        "start-only.png": PNG[:8],
        "start-only.gif": b"GIF89a",
        "start-only.webp": b"RIFF\xff\xff\xff\xffWEBP",
        "start-only.tiff": b"II*\0",
        "start-only.bmp": b"BM",
        "header-only.jpg": JPEG[:200],
        "header-only.png": PNG[:33],
        "header-only.webp": WEBP[:30],
        "header-only.gif": GIF[:13],
        "header-only.bmp": saved(PIXELS, "BMP")[:54],
        "half.jpg": JPEG[: len(JPEG) // 2],
        "no-directory.tiff": b"II*\0" + struct.pack("<I", 1000),
        "directory-in-itself.tiff": tiff(_DIRECTORY[:4], following=8),
        "no-pixels.png": png_header(SIDE, SIDE) + chunk(b"IEND", b""),
        "no-width.png": png(8, 2, _ROWS, SIDE).replace(struct.pack(">II", SIDE, SIDE), bytes(8)),
        "wrong-checksum.png": PNG[:40] + bytes([PNG[40] ^ 1]) + PNG[41:],
        "seventeen-bits.png": png(17, 2, _ROWS, SIDE),
        "no-components.jpg": JPEG.replace(JPEG[158:160], b"\xff\xc0")[:163] + bytes(20),
        "no-tables.jpg": b"\xff\xd8" + JPEG[JPEG.index(b"\xff\xc0") :],
        "twelve-bits.jpg": JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        "hollow.webp": riff((b"VP8X", bytes(4) + bytes([63, 0, 0, 63, 0, 0]))),
        "frames-only.webp": riff(
            (b"VP8X", b"\x02" + bytes(3) + bytes([63, 0, 0, 63, 0, 0])), (b"ANIM", bytes(6))
        ),
    }


def odd_images() -> dict[str, bytes]:
    """Strange but sound; each must decode."""
    goods = good_files()
    exif = {}
    for value in (0, 9, 65_535):
        tags = Image.Exif()
        tags[0x0112] = value
        exif[f"orientation-{value}.jpg"] = saved(PIXELS, exif=tags)
    text = b"Exif\0\0II*\0" + struct.pack("<IHHHI4sI", 8, 1, 0x0112, 2, 4, b"six\0", 0)
    cycle = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(zipfile.ZipInfo("hidden.txt"), b"hidden")
    page = "<script>alert(document.domain)</script>"
    bomb = (
        b'<?xpacket begin=""?><!DOCTYPE x [<!ENTITY a "' + b"a" * 1000 + b'">]><x>&a;</x><?xpacket end="w"?>'
    )
    narrow = {
        f"{width}x{height}.{format.lower()}": saved(np.zeros((height, width, 3), np.uint8), format)
        for format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
        for width, height in ((1, 1), (1, 16_000), (16_000, 1))
    }
    broken = b"broken" * 100
    sequence = chunk(b"fcTL", struct.pack(">5I2H2B", 77, SIDE, SIDE, 0, 0, 1, 1, 0, 0))
    return {
        **exif,
        **narrow,
        "orientation-is-a-word.jpg": with_segments(JPEG, segment(0xE1, text)),
        "no-end-marker.jpg": JPEG[:-2],
        "exif-in-a-circle.jpg": with_segments(JPEG, segment(0xE1, cycle)),
        "exif-of-nothing.jpg": with_segments(JPEG, segment(0xE1, b"Exif\0\0")),
        "exif-of-ones.jpg": with_segments(JPEG, segment(0xE1, b"Exif\0\0" + b"\xff" * 5000)),
        "1000-comments.jpg": with_segments(JPEG, *[segment(0xFE, b"again")] * 1000),
        "1000-unknown-segments.jpg": with_segments(JPEG, *[segment(0xE7, b"?")] * 1000, segment(0xE1, text)),
        "longest-segments.jpg": with_segments(JPEG, *[segment(0xED, bytes(65_000))] * 20),
        "filled.jpg": JPEG[:2] + b"\xff" * 1000 + JPEG[2:],
        "profile-of-noise.jpg": saved(PIXELS, icc_profile=broken),
        "profile-of-noise.png": saved(PIXELS, "PNG", icc_profile=broken),
        "profile-of-noise.webp": saved(PIXELS, "WEBP", icc_profile=broken),
        "profile-of-noise.tiff": saved(PIXELS, "TIFF", icc_profile=broken),
        "profile-without-its-parts.jpg": with_segments(
            JPEG, segment(0xE2, b"ICC_PROFILE\0\x02\x09" + broken)
        ),
        "profile-not-packed.png": _PNG_HEAD + chunk(b"iCCP", b"name\0\0not zlib") + _PNG_PIXELS,
        "entities.jpg": saved(PIXELS, xmp=bomb),
        "archive-behind.jpg": JPEG + zipped.getvalue(),
        "film-behind.jpg": JPEG + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 2000,
        "page-in-a-comment.jpg": with_segments(JPEG, segment(0xFE, page.encode())),
        "page-behind.png": PNG + page.encode(),
        "page-in-a-comment.gif": saved(Image.fromarray(PIXELS).quantize(9), "GIF", comment=page.encode()),
        "pdf-in-a-comment.jpg": with_segments(JPEG, segment(0xFE, b"%PDF-1.4")),
        "two-in-one.jpg": JPEG + saved(255 - PIXELS),
        "no-trailer.gif": saved(Image.fromarray(PIXELS).quantize(9), "GIF")[:-1],
        "broken-second-frame.gif": GIF[: len(GIF) - 2000] + b"\0" * 100,
        "2000-frames.gif": gif((1, 1), behind=gif_frame(0, 0, 1, 1) * 2000),
        "broken-second-frame.png": goods["frames.png"].replace(b"fdAT", b"fdAT\xff\xff", 1)[:-300],
        "wrong-sequence.png": PNG[: PNG.index(b"IEND") - 4] + sequence + chunk(b"IEND", b""),
        "wrong-count-of-frames.png": _PNG_HEAD + chunk(b"acTL", struct.pack(">II", 9999, 0)) + _PNG_PIXELS,
        "no-frames.png": _PNG_HEAD + chunk(b"acTL", bytes(8)) + _PNG_PIXELS,
        "900-texts.png": _PNG_HEAD + chunk(b"tEXt", b"Comment\0again") * 900 + _PNG_PIXELS,
        "90-packed-texts.png": _PNG_HEAD
        + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000))) * 90
        + _PNG_PIXELS,
        "long-history.png": _PNG_HEAD
        + chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(b"<history/>" * 300_000))
        + _PNG_PIXELS,
        "endless-text.png": _PNG_HEAD
        + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))
        + _PNG_PIXELS,
        "endless-texts.png": _PNG_HEAD
        + chunk(b"zTXt", b"\0\0" + zlib.compress(bytes(1_000_000))) * 500
        + _PNG_PIXELS,
        "endless-profiles.png": _PNG_HEAD
        + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(900_000))) * 500
        + _PNG_PIXELS,
        "endless-chunks.png": _PNG_HEAD + chunk(b"prVt", b"") * 90_000 + _PNG_PIXELS,
        "empty-pixel-chunks.png": _PNG_HEAD + chunk(b"IDAT", b"") * 500 + _PNG_PIXELS,
        "pages-in-a-circle.tiff": tiff_of(PIXELS, 2, following=8),
        "page-beyond-the-end.tiff": tiff_of(PIXELS, 2, following=2**31),
        "page-in-the-pixels.tiff": tiff_of(PIXELS, 2, following=1000),
        "unknown-tags.tiff": tiff_of(
            PIXELS, 2, extra=[(tag, 7, 8, b"whatever") for tag in range(50_000, 50_500)]
        ),
        "tags-of-nothing.tiff": tiff_of(
            PIXELS, 2, extra=[(tag, 4, 2**30, 8) for tag in range(50_000, 50_010)]
        ),
        "orientation-is-a-word.tiff": tiff_of(PIXELS, 2, extra=[(274, 2, 4, b"six\0")]),
        "two-orientations.tiff": tiff_of(PIXELS, 2, extra=[(274, 3, 2, struct.pack("<HH", 6, 3))]),
        "unknown-chunk.webp": WEBP[:4]
        + struct.pack("<I", len(WEBP) + 8)
        + WEBP[8:]
        + b"abcd\x08\0\0\0whatever",
        "upside-down.bmp": bmp(SIDE, -SIDE, 24, 0, PIXELS.tobytes()),
        "runs.bmp": bmp(SIDE, SIDE, 8, 1, (bytes([SIDE, 9]) + b"\0\0") * SIDE + b"\0\1", 16),
    }


def bombs() -> dict[str, bytes]:
    """Small files that ask for much; each must be refused at no great cost."""
    many_longs = bytes(4 * 1_200_000)
    progressive = good_files()["progressive.jpg"]
    last_scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    fax = io.BytesIO()
    Image.fromarray(np.zeros((10_000, 10_000), bool)).save(fax, "TIFF", compression="group4")
    black = io.BytesIO()
    Image.fromarray(np.zeros((10_000, 10_000), bool)).save(black, "PNG")
    kept = [entry for entry in _DIRECTORY if entry[0] not in (273, 278, 279)]
    tile = [(322, 4, 1, 20_000), (323, 4, 1, 20_000), (324, 4, 1, DATA), (325, 4, 1, 17)]
    return {
        "screen.gif": gif((65_535, 65_535)),
        "screen-disposed.gif": gif((65_535, 65_535), (0, 0, 65_535, 65_535), disposal=2),
        "frame.gif": gif((1, 1), (0, 0, 65_535, 65_535)),
        "frame-disposed.gif": gif((1, 1), (0, 0, 65_535, 65_535), disposal=2),
        "frame-far-away.gif": gif((1, 1), (65_535, 65_535, 65_535, 65_535), disposal=3),
        "comments.gif": gif((1, 1), front=b"\x21\xfe" + b"\x02ab" * 200_000 + b"\0"),
        "extensions.gif": gif((1, 1), front=b"\x21\x01\0" * 200_000),
        "header.jpg": JPEG.replace(struct.pack(">HH", SIDE, SIDE), struct.pack(">HH", 65_500, 65_500)),
        "header-with-exif.jpg": with_segments(
            JPEG.replace(struct.pack(">HH", SIDE, SIDE), struct.pack(">HH", 65_500, 65_500)),
            segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        ),
        "scans.jpg": progressive[:-2] + last_scan * 5000 + b"\xff\xd9",
        "scans-with-profile.jpg": with_segments(
            progressive[:-2] + last_scan * 5000 + b"\xff\xd9", segment(0xE2, b"ICC_PROFILE\0\1\1x")
        ),
        "segments-with-exif.jpg": with_segments(
            JPEG, segment(0xE1, b"Exif\0\0"), *[segment(0xE4, b"")] * 200_000
        ),
        "exif-segments.jpg": with_segments(JPEG, *[segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 100),
        "header.png": png_header(2**31 - 1, 2**31 - 1) + _PNG_PIXELS,
        "black.png": black.getvalue(),
        "wide.png": png_header(2**31 - 1, 1) + _PNG_PIXELS,
        "profile.png": _PNG_HEAD + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000))) + _PNG_PIXELS,
        "pixel-chunks.png": _PNG_HEAD + chunk(b"IDAT", b"") * 200_000 + _PNG_PIXELS,
        "header.tiff": tiff([(256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), *_DIRECTORY[2:]], b"\0"),
        "tile.tiff": tiff([*kept, *tile], zlib.compress(bytes(100))),
        "tile-deflate.tiff": tiff(
            [(259, 3, 1, 8), *[entry for entry in kept if entry[0] != 259], *tile], zlib.compress(bytes(100))
        ),
        "strips.tiff": tiff(
            [(257, 4, 1, 1_200_000), (273, 4, 1_200_000, many_longs), *kept[:1], *kept[2:], (278, 4, 1, 1)]
        ),
        "numbers.tiff": tiff([*_DIRECTORY, (60_000, 4, 1_200_000, many_longs)], b"\0"),
        "fax.tiff": fax.getvalue(),
        "canvas.webp": riff((b"VP8X", bytes(4) + b"\xff\xff\xff\xff\xff\xff"), (b"VP8 ", WEBP[20:])),
        "lossy.webp": WEBP[:26] + struct.pack("<HH", 16_383, 16_383) + WEBP[30:],
        "lossless.webp": riff((b"VP8L", b"/" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(50))),
        "chunks.webp": riff((b"VP8X", bytes(10)), *[(b"abcd", b"")] * 20_000, (b"VP8 ", WEBP[20:])),
        "header.bmp": bmp(65_535, 65_535, 24, 0, bytes(100)),
        "runs.bmp": bmp(30_000, 30_000, 8, 1, b"\0\2\xff\xff" * 100, 16),
        "negative.bmp": bmp(-(2**31), 2**31 - 1, 24, 0, bytes(100)),
    }
