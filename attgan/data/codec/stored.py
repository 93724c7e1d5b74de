"""An image's samples as its file stores them, where a viewer shows others, and how an edit is brought into them."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageCms

from attgan.data.codec.orientation import turned

# Rows are changed in bands of so many pixels, so that memory does not grow with the photograph.
_BAND_PIXELS = 2**18

Convert = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Stored:
    """Samples of another colour space than sRGB, or of 16 bits.

    Attributes:
        samples: ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` CMYK, uint8 or uint16; upright.
        profile: their colour space (ICC); empty for sRGB, or for CMYK of an unknown space.
        alpha: ``(H, W)`` uint16, where it has more than eight bits.
    """

    samples: np.ndarray
    profile: bytes = b""
    alpha: np.ndarray | None = None

    @property
    def mode(self) -> str:
        """Pillow's, of eight bits."""
        return "L" if self.samples.ndim == 2 else {3: "RGB", 4: "CMYK"}[self.samples.shape[2]]

    @property
    def is_deep(self) -> bool:
        """Whether it has more than eight bits."""
        return self.samples.dtype != np.uint8

    def turned(self, orientation: int) -> Stored:
        """See :func:`attgan.data.codec.orientation.turned`."""
        alpha = None if self.alpha is None else turned(self.alpha, orientation)
        return replace(self, samples=turned(self.samples, orientation), alpha=alpha)

    def in_eight_bits(self) -> Stored:
        """The same samples, rounded."""
        return replace(self, samples=eight_bits(self.samples), alpha=None) if self.is_deep else self

    def with_change(self, before: np.ndarray, after: np.ndarray) -> Stored:
        """The samples with the change that an edit made to what a viewer sees. All others keep their values.

        The difference is converted to their colour space and added. So colours that sRGB cannot show, and the lower
        eight of 16 bits, are kept where the edit only tints them.

        Args:
            before: ``(H, W, 3)`` uint8, sRGB: how they looked.
            after: likewise, with the edit.
        """
        samples = self.samples.copy()
        convert = _from_srgb(self.profile, self.mode)
        top = np.iinfo(samples.dtype).max
        height, width = before.shape[:2]
        rows = max(1, _BAND_PIXELS // width)
        for first in range(0, height, rows):
            band = slice(first, first + rows)
            changed = (before[band] != after[band]).any(-1)
            if not changed.any():
                continue
            # One row of the pixels that changed.
            old, new = (
                np.asarray(convert(Image.fromarray(image[band][changed][None]))).astype(np.int32)[0]
                for image in (before, after)
            )
            part = samples[band]
            part[changed] = np.clip(part[changed] + (new - old) * (top // 255), 0, top)
        return replace(self, samples=samples)


def eight_bits(samples: np.ndarray) -> np.ndarray:
    """Samples of 16 bits rounded to eight; row by row, so that only one row is in memory in the wider type."""
    if samples.dtype == np.uint8:
        return samples
    rounded = np.empty(samples.shape, np.uint8)
    for row, line in enumerate(samples):
        rounded[row] = (line.astype(np.uint32) + 128) // 257
    return rounded


@functools.lru_cache(maxsize=16)
def _from_srgb(profile: bytes, mode: str) -> Convert:
    """From sRGB to a colour space. A profile that only leads the other way, as a scanner's, is treated as none."""
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), own, "RGB", mode)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
        else:
            return functools.partial(_applied, transform)
    return lambda picture: picture.convert(mode)


def _applied(transform: ImageCms.ImageCmsTransform, picture: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(picture, transform)
    assert converted is not None
    return converted
