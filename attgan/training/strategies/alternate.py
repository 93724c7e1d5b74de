"""Alternate: images without the attribute are edited towards it, and all images shown as real have it.

The discriminator can then separate real from fake by the attribute alone. In the reference study this diverged.
"""

import torch
from torch import Tensor

from attgan.training.strategies.strategy import Strategy


def added(labels: Tensor, attribute: int, random: torch.Generator) -> Tensor:
    """The (N, n) labels with column ``attribute`` set; nothing is random."""
    targets = labels.clone()
    targets[:, attribute] = 1
    return targets


ALTERNATE = Strategy("alternate", source="without", real="with", targets=added)
