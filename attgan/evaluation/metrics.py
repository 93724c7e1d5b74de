"""How similar two pictures are, and how often a prediction is right. Every measure is one number per image.

Shapes: N images, S image size, n attributes.
"""

import math

import torch
from torch import Tensor

# Of pixels in [-1, 1].
RANGE = 2.0

_WINDOW = 11
_SIGMA = 1.5
# For values in a range of 1.
_K1, _K2 = 0.01, 0.03


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, of two (N, 3, S, S) batches in [-1, 1].

    Returns:
        (N,) float32; infinite where both are equal.

    Raises:
        ValueError: batches of different shapes.
    """
    _check_same(images, others)
    error = (images.float() - others.float()).square().flatten(1).mean(1)
    return 10 * torch.log10(RANGE**2 / error)


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity of two (N, 3, S, S) batches in [-1, 1], 1.0 where both are equal.

    The mean over the colours and over all places where the 11×11 Gaussian window (σ 1.5) fits inside.

    Returns:
        (N,) float32, right to some 1e-5.

    Raises:
        ValueError: batches of different shapes, or images smaller than the window.

    References:
        Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.
    """
    _check_same(images, others)
    if min(images.shape[2:]) < _WINDOW:
        raise ValueError(f"images of {tuple(images.shape[2:])} pixels; the window has {_WINDOW}")
    # Around 0, where sums of squares lose the least in float32; the luminance is counted from 0 to 1.
    x, y = images.float() / 2, others.float() / 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x.square()
    variance_y = _blurred(y * y) - mean_y.square()
    covariance = _blurred(x * y) - mean_x * mean_y
    light_x, light_y = mean_x + 0.5, mean_y + 0.5
    c1, c2 = _K1**2, _K2**2
    luminance = (2 * light_x * light_y + c1) / (light_x.square() + light_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).flatten(1).mean(1)


def right_attributes(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, n) float32: 1 where the sign of a logit agrees with its label in {0, 1}."""
    return ((logits > 0) == (labels > 0.5)).float()


def right_verdicts(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a critic, whose values have no natural threshold, classifies real and fake images correctly.

    Args:
        real, fake: the critic's (N,) and (M,). The threshold is halfway between their means.

    Returns:
        (N,) and (M,) float32: 1 where a real image lies above it, and a fake one below.
    """
    threshold = (real.float().mean() + fake.float().mean()) / 2
    return (real > threshold).float(), (fake < threshold).float()


def _blurred(images: Tensor) -> Tensor:
    """Gaussian means, (N, 3, H, W) → (N, 3, H - 10, W - 10), as sums of shifted images.

    On a CPU that takes a quarter of the time of a convolution with three groups.
    """
    weights = [math.exp(-((i - _WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for i in range(_WINDOW)]
    weights = [weight / sum(weights) for weight in weights]
    for dimension in (2, 3):
        length = images.shape[dimension] - _WINDOW + 1
        total = images.narrow(dimension, 0, length) * weights[0]
        for i in range(1, _WINDOW):
            total.add_(images.narrow(dimension, i, length), alpha=weights[i])
        images = total
    return images


def _check_same(images: Tensor, others: Tensor) -> None:
    if images.shape != others.shape or images.ndim != 4:
        raise ValueError(f"images of shapes {tuple(images.shape)} and {tuple(others.shape)}")
