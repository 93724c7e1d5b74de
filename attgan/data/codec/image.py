"""A decoded image, the formats it comes in, and what one input may cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attgan.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}
_OPAQUE_FORMATS = ("JPEG", "BMP")


@dataclass(frozen=True)
class Limits:
    """What a single input may cost before it is refused unread.

    A decode holds at most 28 bytes per pixel, 6 per byte of the file and 40 MiB: 2.2 GB with these defaults, where a
    plain JPEG of so many pixels takes 200 MB.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000

    def refuse_beyond(self, width: int, height: int, what: str = "") -> None:
        """Raise a DataError, stage ``decode``, if so many pixels are too many; ``what`` goes before the numbers."""
        if width * height > self.max_pixels:
            pixels = f"{what}{width:,}×{height:,} is {width * height:,} pixels"
            raise DataError("decode", f"{pixels}; the limit is {self.max_pixels:,}")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Decoded:
    """An image as the eye sees it: upright, sRGB, eight bits.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB; of a grey image all three are equal.
        format: one of :data:`FORMATS`, by content, whatever the key's extension says.
        alpha: ``(H, W)`` uint8, or None; kept aside so that an edit leaves it as it was.
        grey: stored without colour, so that it is written back alike where the format can.
        subsampling: a JPEG's chroma subsampling (``444``, ``422``, ``420`` …), so that it is written back alike.
        lossless: a WebP stored without loss, so that it is written back alike.
        notes: what was changed or left out on the way in (``16 bit to 8``, ``first of 3 frames``, …).
    """

    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    grey: bool = False
    subsampling: str = "420"
    lossless: bool = False
    notes: tuple[str, ...] = ()

    def with_pixels(self, pixels: np.ndarray) -> Decoded:
        """The same image with other pixels ``(H, W, 3)`` uint8; alpha is kept only where the size still fits."""
        fits = self.alpha is not None and self.alpha.shape == pixels.shape[:2]
        return replace(self, pixels=pixels, alpha=self.alpha if fits else None)

    def in_format(self, format: str) -> Decoded:
        """The image as it can be written in one of :data:`FORMATS`.

        JPEG and BMP hold no transparency: there it is laid over white, as browsers show it, and a note says so.
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
        # row by row, so that the wider type is held for one row alone
        seen[row] = (colours * weights + 255 * (255 - weights) + 127) // 255
    return seen
