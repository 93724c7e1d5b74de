"""Inverse: each image is to keep all its attributes but one, which is turned round."""

import torch
from torch import Tensor

from attgan.training.strategies.strategy import Strategy


def flipped(labels: Tensor, attribute: int, random: torch.Generator) -> Tensor:
    """The (N, n) labels with column ``attribute`` turned round; nothing is random."""
    targets = labels.clone()
    targets[:, attribute] = 1 - labels[:, attribute]
    return targets


INVERSE = Strategy("inverse", source="all", real="all", targets=flipped)
