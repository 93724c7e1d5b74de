"""A decoded image, the known formats, and the limits of an input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attgan.errors import DataError

# Every format that is read, and the extensions of its files; the first one is given to new files.
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
}
FORMATS = tuple(EXTENSIONS)
CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}
_OPAQUE_FORMATS = ("JPEG", "BMP")


@dataclass(frozen=True)
class Limits:
    """Limits of a single input. What is beyond them is refused before it is decoded.

    Decoding takes at most 28 bytes of memory per pixel, 6 per byte of the file, and 40 MiB: 2.2 GB with these defaults.
    A plain JPEG of so many pixels takes 200 MB.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000

    def refuse_beyond(self, width: int, height: int, what: str = "") -> None:
        """Raise a DataError, stage ``decode``, for more pixels than the limit; ``what`` precedes the numbers."""
        if width * height > self.max_pixels:
            pixels = f"{what}{width:,}×{height:,} is {width * height:,} pixels"
            raise DataError("decode", f"{pixels}; the limit is {self.max_pixels:,}")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Decoded:
    """An image as a viewer shows it: upright, sRGB, eight bits.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB; of a grey image all three are equal.
        format: one of :data:`FORMATS`, by content, not by the key's extension.
        alpha: ``(H, W)`` uint8, or None; separate, so that an edit does not change it.
        grey: stored without colour, so that it is written in the same way where the format allows it.
        subsampling: the chroma subsampling of a new JPEG (``444``, ``422``, ``420`` …).
        coding: of a JPEG, the segments that say how it is coded (:func:`attgan.data.codec.jpeg.coding_segments`), so
            that it is written in the same way.
        lossless: a WebP stored without loss, so that it is written in the same way.
        notes: what decoding has changed or left out (``16 bit to 8``, ``first of 3 frames``, …).
    """

    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    grey: bool = False
    subsampling: str = "420"
    coding: bytes = b""
    lossless: bool = False
    notes: tuple[str, ...] = ()

    def with_pixels(self, pixels: np.ndarray) -> Decoded:
        """The same image with other pixels ``(H, W, 3)`` uint8; alpha is kept only where the size still fits."""
        fits = self.alpha is not None and self.alpha.shape == pixels.shape[:2]
        return replace(self, pixels=pixels, alpha=self.alpha if fits else None)

    def in_format(self, format: str) -> Decoded:
        """The image as it can be written in one of :data:`FORMATS`.

        JPEG and BMP have no transparency: for them the image is put on white, as browsers show it, and a note is added.
        """
        if self.alpha is None or format not in _OPAQUE_FORMATS:
            return self if format == self.format else replace(self, format=format)
        if self.alpha.min(initial=255) == 255:
            return replace(self, format=format, alpha=None)
        return replace(
            self,
            pixels=_over_white(self.pixels, self.alpha),
            format=format,
            alpha=None,
            notes=(*self.notes, "transparency to white"),
        )


def _over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    seen = np.empty_like(pixels)
    for row, (colours, weights) in enumerate(zip(pixels, alpha[..., None].astype(np.uint16), strict=True)):
        # Row by row, so that only one row is in memory in the wider type.
        seen[row] = (colours * weights + 255 * (255 - weights) + 127) // 255
    return seen
