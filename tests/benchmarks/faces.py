"""Drawn faces as files, made once per run."""

from __future__ import annotations

import functools

from attgan.data import synthetic
from attgan.data.codec import Decoded, encode


@functools.cache
def drawn_faces(count: int) -> tuple[bytes, ...]:
    """``count`` JPEGs of 178×218, quality 90, a few dozen different ones repeated."""
    different = [
        encode(Decoded(synthetic.draw(synthetic.sample_face(seed)), "JPEG"), quality=90)
        for seed in range(min(count, 64))
    ]
    return tuple(different[i % len(different)] for i in range(count))
