"""Random numbers that are counted, not remembered: each step's come from (seed, purpose, step) alone.

So a checkpoint needs no random state, a resumed run draws what the uninterrupted one would have drawn, and
nothing depends on the device.
"""

import hashlib

import torch


def generator_for(seed: int, purpose: str, step: int) -> torch.Generator:
    """A fresh generator on the CPU for what is random in one step.

    Args:
        seed: of the run.
        purpose: what is drawn; different purposes are independent of each other.
        step: counted from 0.
    """
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))
