"""Random numbers that are counted, not remembered: each step's come from (seed, purpose, step) alone.

So a checkpoint needs no random state, a resumed run draws what the uninterrupted one would have drawn, and
nothing depends on the device.
"""

import hashlib

import numpy as np
import torch


def generator_for(seed: int, purpose: str, step: int) -> torch.Generator:
    """A fresh generator on the CPU for what is random in one step.

    Args:
        seed: of the run.
        purpose: what is drawn; different purposes are independent of each other.
        step: counted from 0.
    """
    return torch.Generator().manual_seed(_seed_of(seed, purpose, step))


def random_for(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The same for NumPy, and for what is random in one step, face or pair."""
    return np.random.default_rng(_seed_of(seed, purpose, *numbers))


def _seed_of(seed: int, purpose: str, *numbers: int) -> int:
    digest = hashlib.sha256(f"{seed}/{'/'.join(map(str, numbers))}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
