"""The region of an aligned face that an attribute affects.

Drawn faces show it exactly, and aligned photographs have the same geometry. An edit should change nothing outside it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from attgan.attributes import PUBLISHED
from attgan.data.transforms import CELEBA_CROP
from attgan.evaluation.pairs import draw_true_pairs

_PAIRS = 64
_SEED = 0
# Share of the pairs in which a pixel of the region differs. For glasses the region is 13 % of the picture, and holds
# 99.7 % of what changes.
_SHARE = 0.05


@lru_cache
def edit_region(attribute: str, size: int) -> np.ndarray | None:
    """Where the faces of true drawn pairs differ in at least one pair of twenty, made symmetric.

    The first call for an attribute takes about two seconds; later ones nothing.

    Args:
        attribute: of the pairs.
        size: S, of faces cropped as CelebA's are.

    Returns:
        ``(S, S)`` bool, read-only; None for an attribute that cannot be drawn.
    """
    if attribute not in PUBLISHED:
        return None
    shares = Image.fromarray(_shares(attribute)).resize((size, size), Image.Resampling.BILINEAR)
    region = np.asarray(shares) >= _SHARE
    region.setflags(write=False)
    return region


@lru_cache
def _shares(attribute: str) -> np.ndarray:
    """The share of the pairs in which each pixel differs: ``(170, 170)`` float32, symmetric."""
    pairs = draw_true_pairs(_PAIRS, size=CELEBA_CROP, attribute=attribute, seed=_SEED)
    shares = pairs.mask.mean(axis=0, dtype=np.float32)
    symmetric: np.ndarray = np.maximum(shares, shares[:, ::-1])
    return symmetric
