"""How near two pictures are, and how often a judgement is right. Every measure is one number per image.

Shapes: N images, S image size, n attributes.
"""

import torch
from torch import Tensor
from torch.nn import functional

RANGE = 2.0  # of pixels in [-1, 1]

_WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03  # of a range of 1


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
        (N,) float32.

    Raises:
        ValueError: batches of different shapes, or images smaller than the window.

    References:
        Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.
    """
    _check_same(images, others)
    if min(images.shape[2:]) < _WINDOW:
        raise ValueError(f"images of {tuple(images.shape[2:])} pixels; the window has {_WINDOW}")
    # From 0, as the paper's luminance wants it. In float64: the variances are small differences of large sums.
    x, y = (images.double() + 1) / 2, (others.double() + 1) / 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x.square()
    variance_y = _blurred(y * y) - mean_y.square()
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = _K1**2, _K2**2
    likeness = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (likeness * structure).flatten(1).mean(1).float()


def right_attributes(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, n) float32: 1 where the sign of a logit agrees with its label in {0, 1}."""
    return ((logits > 0) == (labels > 0.5)).float()


def right_verdicts(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Real and fake told apart by a critic whose values have no zero of their own.

    Args:
        real, fake: the critic's (N,) and (M,). The threshold is halfway between their means.

    Returns:
        (N,) and (M,) float32: 1 where a real image lies above it, and a fake one below.
    """
    threshold = (real.float().mean() + fake.float().mean()) / 2
    return (real > threshold).float(), (fake < threshold).float()


def _blurred(images: Tensor) -> Tensor:
    """Gaussian means: (N, 3, H, W) → (N, 3, H - 10, W - 10). The window is a product, so two short passes do."""
    offsets = torch.arange(_WINDOW, dtype=images.dtype, device=images.device) - _WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    colours = images.shape[1]
    rows = weights.view(1, 1, -1, 1).expand(colours, 1, -1, 1)
    columns = weights.view(1, 1, 1, -1).expand(colours, 1, 1, -1)
    return functional.conv2d(functional.conv2d(images, rows, groups=colours), columns, groups=colours)


def _check_same(images: Tensor, others: Tensor) -> None:
    if images.shape != others.shape or images.ndim != 4:
        raise ValueError(f"images of shapes {tuple(images.shape)} and {tuple(others.shape)}")
