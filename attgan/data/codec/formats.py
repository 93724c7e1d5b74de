"""The image formats: how each is recognised, and what of an image it holds. A new format begins here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["L", "RGB", "CMYK"]

_ANY = 2**31


@dataclass(frozen=True)
class Format:
    """What files of a format are like.

    Attributes:
        extensions: of their names; the first one is given to new files.
        magics: their first bytes, one of these.
        content_type: for storages and browsers.
        alpha: whether they have transparency.
        grey: whether an image without colour is given to the encoder without colour. A JPEG's encoder sees to that
            itself, and WebP has no grey.
        modes: in which an image's own samples are written, with their colour profile. All others become sRGB.
        deep: whether samples of 16 bits are written.
        metadata: the fields of :class:`attgan.data.codec.metadata.Metadata` that they hold where readers look for them,
            and the most bytes of each.
    """

    extensions: tuple[str, ...]
    magics: tuple[bytes, ...]
    content_type: str
    alpha: bool = False
    grey: bool = False
    modes: tuple[Mode, ...] = ()
    deep: bool = False
    metadata: Mapping[str, int] = field(default_factory=dict)


FORMATS = {
    "JPEG": Format(
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        (b"\xff\xd8\xff",),
        "image/jpeg",
        modes=("L", "RGB", "CMYK"),
        metadata={"exif": 65_527, "xmp": 65_504, "photoshop": _ANY, "comments": _ANY},
    ),
    "PNG": Format(
        (".png",),
        (b"\x89PNG\r\n\x1a\n",),
        "image/png",
        alpha=True,
        grey=True,
        modes=("L", "RGB"),
        deep=True,
        metadata={"exif": _ANY, "xmp": _ANY, "texts": _ANY},
    ),
    "WEBP": Format(
        (".webp",),
        (b"RIFF",),
        "image/webp",
        alpha=True,
        modes=("RGB",),
        metadata={"exif": _ANY, "xmp": _ANY},
    ),
    "TIFF": Format(
        (".tif", ".tiff"),
        # In each byte order, with what Pillow takes for a TIFF, too: BigTIFF, and swapped bytes.
        (b"II*\x00", b"MM\x00*", b"II\x00*", b"MM*\x00", b"II+\x00", b"MM\x00+"),
        "image/tiff",
        alpha=True,
        grey=True,
        modes=("L", "RGB", "CMYK"),
        deep=True,
        metadata={"exif": _ANY, "xmp": _ANY, "photoshop": _ANY},
    ),
    "GIF": Format((".gif",), (b"GIF8",), "image/gif", alpha=True, grey=True, metadata={"comments": _ANY}),
    "BMP": Format((".bmp",), (b"BM",), "image/bmp", grey=True),
}


def format_of(data: bytes) -> str:
    """The format by a file's first bytes; empty for an unknown one."""
    return next((name for name, format in FORMATS.items() if data.startswith(format.magics)), "")
