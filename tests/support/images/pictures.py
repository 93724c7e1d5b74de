"""Pictures for tests, made on the spot."""

import io

import numpy as np
from PIL import Image


def noise(seed: int, width: int = 178, height: int = 218) -> np.ndarray:
    """A smooth random picture ``(height, width, 3)`` uint8."""
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 10, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def saved(pixels: np.ndarray | Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """The picture as a file."""
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> np.ndarray:
    """The pixels of a file, ``(H, W, 3)`` or ``(H, W, 4)``."""
    return np.array(Image.open(io.BytesIO(data)))
