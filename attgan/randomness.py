"""Random numbers without state: those of a step are derived from (seed, purpose, step) alone.

So a checkpoint needs no random state, a resumed run draws the same numbers as an uninterrupted one, and nothing
depends on the device.
"""

import hashlib

import numpy as np
import torch


def generator_for(seed: int, purpose: str, step: int) -> torch.Generator:
    """A fresh CPU generator for one step.

    Args:
        seed: of the run.
        purpose: what is drawn; different purposes are independent of each other.
        step: counted from 0.
    """
    return torch.Generator().manual_seed(_seed_of(seed, purpose, step))


def random_for(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The same for NumPy; the numbers name the step, face or pair."""
    return np.random.default_rng(_seed_of(seed, purpose, *numbers))


def _seed_of(seed: int, purpose: str, *numbers: int) -> int:
    digest = hashlib.sha256(f"{seed}/{'/'.join(map(str, numbers))}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
