"""A decoded image, and the limits of an input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attgan.data.codec.formats import FORMATS
from attgan.data.codec.metadata import NOTHING, Metadata
from attgan.data.codec.stored import Stored
from attgan.errors import DataError


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
    """An image as a viewer shows it: upright, sRGB, eight bits; and what else is needed to write it as it was stored.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB; of a grey image all three are equal.
        format: one of :data:`attgan.data.codec.formats.FORMATS`, by content, not by the key's extension.
        alpha: ``(H, W)`` uint8, or None; separate, so that an edit does not change it.
        grey: stored without colour, so that it is written in the same way where the format allows it.
        subsampling: the chroma subsampling of a new JPEG (``444``, ``422``, ``420`` …).
        coding: of a JPEG, the segments that say how it is coded (:func:`attgan.data.codec.jpeg.coding_segments`), so
            that it is written in the same way.
        palette: of a GIF, red, green and blue of its colours.
        lossless: a WebP stored without loss, so that it is written in the same way.
        stored: its own samples, if they are others than ``pixels``.
        metadata: what its file says besides.
        orientation: 1 to 8 as in EXIF: how it is turned in its file. Pixels, alpha and samples are upright.
        notes: what decoding has changed or left out (``16 bit to 8``, ``first of 3 frames``, …).
    """

    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    grey: bool = False
    subsampling: str = "420"
    coding: bytes = b""
    palette: bytes = b""
    lossless: bool = False
    stored: Stored | None = None
    metadata: Metadata = NOTHING
    orientation: int = 1
    notes: tuple[str, ...] = ()

    def editable(self) -> np.ndarray:
        """Pixels to change in place and to pass to :meth:`with_pixels`: a copy only where the old ones are needed."""
        return np.require(self.pixels, requirements=["W"]) if self.stored is None else self.pixels.copy()

    def with_pixels(self, pixels: np.ndarray) -> Decoded:
        """The same image with other pixels ``(H, W, 3)`` uint8; its own samples are changed likewise.

        Of another size it is a new picture, in sRGB, that has nothing of the photograph but its format.
        """
        if pixels.shape != self.pixels.shape:
            return Decoded(pixels, self.format, grey=self.grey, lossless=self.lossless, notes=self.notes)
        stored = None if self.stored is None else self.stored.with_change(self.pixels, pixels)
        return replace(self, pixels=pixels, stored=stored)

    def in_format(self, format: str) -> Decoded:
        """The image as it can be written in another format, with notes on what that format cannot hold.

        JPEG and BMP have no transparency: for them the image is put on white, as browsers show it.
        """
        image = self if format == self.format else replace(self, format=format)
        notes = list(self.notes)
        if self.alpha is not None and not FORMATS[format].alpha:
            image = replace(image, alpha=None)
            if self.alpha.min(initial=255) < 255:
                image = replace(image, pixels=_over_white(self.pixels, self.alpha))
                notes.append("transparency to white")
        if self.stored is not None:
            stored = self.stored if image.pixels is self.pixels else None
            image = replace(image, stored=_held(self.stored, stored, format, notes))
        if self.metadata.profile and (not FORMATS[format].modes or (self.stored and not image.stored)):
            image = replace(image, metadata=replace(image.metadata, profile=b""))
        return replace(image, notes=tuple(notes))


def _held(before: Stored, stored: Stored | None, format: str, notes: list[str]) -> Stored | None:
    """The samples that a format holds; None for eight bits of sRGB."""
    if stored is not None and stored.mode not in FORMATS[format].modes:
        stored = None
    if before.is_deep and (stored is None or not FORMATS[format].deep):
        notes.append("16 bit to 8")
        stored = stored and stored.in_eight_bits()
        if stored and not stored.profile:
            return None
    if stored is None and before.mode == "CMYK":
        notes.append("CMYK to RGB")
    if stored is None and before.profile:
        notes.append("colour profile to sRGB")
    return stored


def _over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    seen = np.empty_like(pixels)
    for row, (colours, weights) in enumerate(zip(pixels, alpha[..., None].astype(np.uint16), strict=True)):
        # Row by row, so that only one row is in memory in the wider type.
        seen[row] = (colours * weights + 255 * (255 - weights) + 127) // 255
    return seen
