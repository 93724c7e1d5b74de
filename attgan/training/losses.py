"""The losses of AttGAN's two networks: pure functions of tensors. Every loss is a mean.

The report writes sums and norms, but its weights (100, 10, 1, 10) belong to means over batch, attributes and
pixels, as in the published code.

A loss is at least float32, whatever the precision of its inputs.

Shapes: N images, S image size, n attributes.

References:
    He et al., "AttGAN: Facial Attribute Editing by Only Changing What You Want", 2017: equations 5 to 12.
    Gulrajani et al., "Improved Training of Wasserstein GANs", 2017: the penalty.
    Mao et al., "Least Squares Generative Adversarial Networks", 2016: mode "lsgan".
    Kodali et al., "On Convergence and Stability of GANs", 2017 (DRAGAN): the points of the other modes' penalty.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Adversarial = Literal["wgan", "lsgan", "dcgan"]
"""WGAN; least squares; or the cross entropy of the first GAN. The last two use DRAGAN's gradient penalty."""

NOISE_SCALE = 0.5
"""Largest distance of DRAGAN's points from a real image, in standard deviations of the batch's pixels."""


class LossWeights(NamedTuple):
    """How much each term counts: the reference study's λ1, λ2, λ3 and the penalty's weight."""

    reconstruction: float = 100.0
    generator_attributes: float = 10.0
    discriminator_attributes: float = 1.0
    gradient_penalty: float = 10.0


def reconstruction_loss(reconstructed: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of two (N, 3, S, S) batches (eq. 9)."""
    return functional.l1_loss(_full(reconstructed), _full(images))


def attribute_loss(logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean binary cross entropy of (N, n) logits against (N, n) labels in {0, 1}.

    With ``known`` (N, n) bool the mean is over those labels alone.

    For the generator: of the edited images, against the attributes asked for (eq. 5, 6). For the
    discriminator: of the real images, against their own (eq. 7, 8).
    """
    if known is None:
        return functional.binary_cross_entropy_with_logits(_full(logits), _full(labels))
    each = functional.binary_cross_entropy_with_logits(_full(logits), _full(labels), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def critic_loss(real: Tensor, fake: Tensor, mode: Adversarial = "wgan") -> Tensor:
    """The discriminator's adversarial loss, from the critic's (N,) on real and (M,) on fake images (eq. 10).

    "wgan": mean of fake - mean of real. "lsgan": squared distance of real to 1 and of fake to 0. "dcgan":
    binary cross entropy of the same, the critic's values being logits.
    """
    real, fake = _full(real), _full(fake)
    if mode == "wgan":
        return fake.mean() - real.mean()
    distance = functional.mse_loss if mode == "lsgan" else functional.binary_cross_entropy_with_logits
    return distance(real, torch.ones_like(real)) + distance(fake, torch.zeros_like(fake))


def adversarial_loss(fake: Tensor, mode: Adversarial = "wgan") -> Tensor:
    """The generator's adversarial loss, from the critic's (N,) on edited images (eq. 11).

    "wgan": -mean. "lsgan" and "dcgan": their distance from 1, as in :func:`critic_loss`.
    """
    fake = _full(fake)
    if mode == "wgan":
        return -fake.mean()
    distance = functional.mse_loss if mode == "lsgan" else functional.binary_cross_entropy_with_logits
    return distance(fake, torch.ones_like(fake))


def points_between(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """A point on the line from each real image to its fake: both (N, 3, S, S), alpha (N, 1, 1, 1) in [0, 1]."""
    return torch.lerp(_full(real), _full(fake), alpha)


def dragan_points(real: Tensor, alpha: Tensor, noise: Tensor) -> Tensor:
    """A point on the line from each real image to a noisy copy of it.

    Args:
        real: (N, 3, S, S).
        alpha: (N, 1, 1, 1) in [0, 1], the position on the line.
        noise: (N, 3, S, S) in [0, 1], scaled here by half the standard deviation of the batch's pixels.
    """
    real = _full(real)
    return real + alpha * (NOISE_SCALE * real.std() * noise)


def gradient_penalty(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Mean of (‖∇critic‖₂ - 1)² at the given points.

    Args:
        critic: (N, 3, S, S) → (N,), each value from its own image alone.
        points: (N, 3, S, S).

    Returns:
        A scalar that can be differentiated by the critic's parameters. No gradient flows back into the images that
        the points were made from.
    """
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    norms = torch.linalg.vector_norm(gradient, dim=tuple(range(1, gradient.ndim)))
    return (norms - 1).square().mean()


def generator_objective(
    adversarial: Tensor, attributes: Tensor, reconstruction: Tensor, weights: LossWeights
) -> Tensor:
    """What the generator minimises (eq. 12), from its three losses."""
    return weights.reconstruction * reconstruction + weights.generator_attributes * attributes + adversarial


def discriminator_objective(
    critic: Tensor, attributes: Tensor, penalty: Tensor, weights: LossWeights
) -> Tensor:
    """What the discriminator minimises, from its three losses."""
    return critic + weights.gradient_penalty * penalty + weights.discriminator_attributes * attributes


def _full(tensor: Tensor) -> Tensor:
    """In float32, unless it is more precise already."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
