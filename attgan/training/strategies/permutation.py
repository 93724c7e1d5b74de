"""Permutation: each image gets the attributes of another image of its batch, as in AttGAN's paper."""

import torch
from torch import Tensor

from attgan.training.strategies.strategy import Strategy


def shuffled(labels: Tensor, attribute: int, random: torch.Generator) -> Tensor:
    """The (N, n) labels with their rows in random order; ``attribute`` plays no part."""
    order = torch.randperm(len(labels), generator=random)
    return labels[order.to(labels.device)]


PERMUTATION = Strategy("permutation", source="all", real="all", targets=shuffled)
