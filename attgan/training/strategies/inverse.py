"""Inverse: each image keeps all its attributes but the trained one, which is inverted."""

import torch
from torch import Tensor

from attgan.training.strategies.strategy import Strategy


def flipped(labels: Tensor, attribute: int, random: torch.Generator) -> Tensor:
    """The (N, n) labels with column ``attribute`` inverted; nothing is random."""
    targets = labels.clone()
    targets[:, attribute] = 1 - labels[:, attribute]
    return targets


INVERSE = Strategy("inverse", source="all", real="all", targets=flipped)
