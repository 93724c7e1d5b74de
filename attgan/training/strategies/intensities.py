"""From labels to what the networks are fed: signed intensities, fixed or drawn."""

import math
from typing import Literal

import torch
from torch import Tensor

from attgan.attributes import LABEL_SCALE

Intensities = Literal["fixed", "uniform", "truncated_normal"]
"""Always 0.5; anything from 0 to 1 alike; or around 0.5 and from 0 to 1."""

# The normal distribution is cut off at two standard deviations.
_CUT = 2.0


def network_values(labels: Tensor, distribution: Intensities, random: torch.Generator) -> Tensor:
    """Turn (N, n) labels in {0, 1} into (N, n) values for the generator, positive where the label is 1.

    Args:
        labels: of real images (then the distribution is "fixed") or of an edit.
        distribution: of the size of each value, drawn for itself: "fixed" 0.5; "uniform" from 0 to 1;
            "truncated_normal" of mean 0.5 and standard deviation 0.25 before it is cut off at 0 and 1.
        random: on the CPU, whatever the labels' device. "fixed" draws nothing.

    Returns:
        float32, on the labels' device.

    References:
        The distributions of the published AttGAN-PyTorch code. What it has beyond the cut it folds back by
        ``fmod`` to the middle; here the distribution is the truncated one.
    """
    signs = 2 * labels.float() - 1
    if distribution == "fixed":
        return signs * LABEL_SCALE
    sizes = torch.rand(labels.shape, generator=random)
    if distribution == "truncated_normal":
        sizes = (_truncated_normal(sizes) + _CUT) / (2 * _CUT)
    return signs * (2 * LABEL_SCALE * sizes).to(labels.device)


def _truncated_normal(shares: Tensor) -> Tensor:
    """Uniform draws in [0, 1) → draws of the standard normal distribution between -2 and 2, by its inverse."""
    below = 0.5 * (1 + math.erf(-_CUT / math.sqrt(2)))
    return torch.special.ndtri(below + (1 - 2 * below) * shares).clamp(-_CUT, _CUT)
