"""One training step of each network: from tensors to losses. The optimiser and the data loading are elsewhere.

In precision "bfloat16" the networks' passes run under autocast, but the gradient penalty is computed in float32. In
bfloat16 the penalty at the same points was wrong by 3 % (median of 24 batches; at worst 60 %) and its gradient by 24 %
(at worst 136 %, so that it may point the other way). The other losses were within 1.4 %. Their gradients were within
24 % for the discriminator and 47 % for the generator at the start, and within 8 % and 20 % after 120 cycles. With ten
bits of mantissa, as in the TF32 that PyTorch lets convolutions use on a GPU, the penalty's gradient was wrong by 3 %.
(Measured at width 16 and 64 px on drawn faces, emulated on a CPU.)

Shapes: N images, S image size, n attributes.
"""

import contextlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from attgan.models import Discriminator, Generator
from attgan.randomness import generator_for
from attgan.training.losses import (
    Adversarial,
    LossWeights,
    adversarial_loss,
    attribute_loss,
    critic_loss,
    discriminator_objective,
    dragan_points,
    generator_objective,
    gradient_penalty,
    points_between,
    reconstruction_loss,
)
from attgan.training.strategies import Intensities, Strategy, network_values

Precision = Literal["float32", "bfloat16"]
Network = Literal["generator", "discriminator"]


class Draw(NamedTuple):
    """All that is random in one step, on the CPU.

    Attributes:
        targets: (N, n) in {0, 1}, the attributes that the edits ask for.
        target_values: (N, n), what the generator is fed for them.
        alpha: (N, 1, 1, 1) in [0, 1), interpolation coefficient of the gradient penalty, between two images.
        noise: (N, 3, S, S) in [0, 1), or None in mode "wgan" and for the generator, which need none.
    """

    targets: Tensor
    target_values: Tensor
    alpha: Tensor
    noise: Tensor | None


class DiscriminatorLosses(NamedTuple):
    """Scalars; only ``total`` can be differentiated."""

    total: Tensor
    critic: Tensor
    attributes: Tensor
    penalty: Tensor


class GeneratorLosses(NamedTuple):
    """Scalars; only ``total`` can be differentiated."""

    total: Tensor
    adversarial: Tensor
    attributes: Tensor
    reconstruction: Tensor


def draw(
    labels: Tensor,
    *,
    seed: int,
    network: Network,
    step: int,
    strategy: Strategy,
    attribute: int,
    intensities: Intensities = "fixed",
    mode: Adversarial = "wgan",
    image_size: int,
) -> Draw:
    """Draw all that is random in a step, from its number alone.

    Args:
        labels: (N, n) in {0, 1} on the CPU, of the images to be edited.
        seed: of the run.
        network: the one that is trained. The draws of the two networks are independent.
        step: that network's step, counted from 0.
        strategy, attribute, intensities: what the edits ask for, and how strongly.
        mode: decides whether there is noise.
        image_size: S of the noise.
    """

    def random(purpose: str) -> torch.Generator:
        return generator_for(seed, f"{network} {purpose}", step)

    targets = strategy.targets(labels, attribute, random("targets"))
    noise = None
    if network == "discriminator" and mode != "wgan":
        noise = torch.rand(len(labels), 3, image_size, image_size, generator=random("noise"))
    return Draw(
        targets=targets,
        target_values=network_values(targets, intensities, random("intensities")),
        alpha=torch.rand(len(labels), 1, 1, 1, generator=random("penalty")),
        noise=noise,
    )


def discriminator_losses(
    generator: Generator,
    discriminator: Discriminator,
    *,
    real: Tensor,
    real_labels: Tensor,
    source: Tensor,
    source_targets: Tensor,
    alpha: Tensor,
    noise: Tensor | None = None,
    weights: LossWeights,
    mode: Adversarial = "wgan",
    precision: Precision = "float32",
) -> DiscriminatorLosses:
    """The discriminator's losses on one batch.

    Args:
        generator: makes the fakes, in the mode it is in. No gradient flows into it.
        discriminator: the network that is trained.
        real: (N, 3, S, S) in [-1, 1].
        real_labels: (N, n) in {0, 1}.
        source: (N, 3, S, S), what the fakes are edits of; ``real`` itself where the strategy says so.
        source_targets: (N, n), what the generator is fed for the edits.
        alpha, noise: see :class:`Draw`.
        weights: of the terms.
        mode: of the adversarial loss and the penalty.
        precision: of the networks' passes; the penalty and the losses themselves are float32.

    Raises:
        ValueError: images or attributes of another shape, or no noise where the mode needs it.
    """
    device = real.device.type
    with torch.no_grad(), _autocast(device, precision):
        fake = generator(source, source_targets)
    with _autocast(device, precision):
        critic_real, critic_fake, logits = _critic_and_logits(discriminator, real, fake)
    if mode == "wgan":
        points = points_between(real, fake, alpha)
    elif noise is None:
        raise ValueError(f'mode "{mode}" needs noise')
    else:
        points = dragan_points(real, alpha, noise)
    with torch.autocast(device, enabled=False):
        penalty = gradient_penalty(discriminator.critic, points)
    critic = critic_loss(critic_real, critic_fake, mode)
    attributes = attribute_loss(logits, real_labels)
    total = discriminator_objective(critic, attributes, penalty, weights)
    return DiscriminatorLosses(total, critic.detach(), attributes.detach(), penalty.detach())


def generator_losses(
    generator: Generator,
    discriminator: Discriminator,
    *,
    images: Tensor,
    labels: Tensor,
    targets: Tensor,
    target_values: Tensor,
    weights: LossWeights,
    mode: Adversarial = "wgan",
    precision: Precision = "float32",
) -> GeneratorLosses:
    """The generator's losses on one batch. Edit and reconstruction share one pass through the encoder.

    Args:
        generator: the network that is trained.
        discriminator: scores the edited images. Its parameters are constants here.
        images: (N, 3, S, S) in [-1, 1].
        labels: (N, n), what the generator is fed for the images' own attributes.
        targets: (N, n) in {0, 1}, the attributes that the edits ask for.
        target_values: (N, n), what the generator is fed for them.
        weights: of the terms.
        mode: of the adversarial loss.
        precision: of the networks' passes; the losses themselves are float32.

    Raises:
        ValueError: images or attributes of another shape.
    """
    with _autocast(images.device.type, precision), _untrained(discriminator):
        features = generator.encode(images)
        edited = generator.decode(features, target_values)
        reconstructed = generator.decode(features, labels)
        fake, logits = discriminator(edited)
    adversarial = adversarial_loss(fake, mode)
    attributes = attribute_loss(logits, targets)
    reconstruction = reconstruction_loss(reconstructed, images)
    total = generator_objective(adversarial, attributes, reconstruction, weights)
    return GeneratorLosses(total, adversarial.detach(), attributes.detach(), reconstruction.detach())


def backward(total: Tensor, network: nn.Module) -> None:
    """Add the gradients of ``total`` to the trained parameters of ``network``, and compute no others.

    Without the list of parameters autograd would also compute the gradient at the penalty's points, which nobody uses.
    """
    total.backward(inputs=[parameter for parameter in network.parameters() if parameter.requires_grad])


def _critic_and_logits(
    discriminator: Discriminator, real: Tensor, fake: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Critic (N,) on real, critic (M,) on fake, logits (N, n) of real.

    Real and fake images share one pass, which is faster, unless the network has batch norms: these would mix the
    statistics of real and fake images.
    """
    if discriminator.config.norm == "batch" and discriminator.training:
        critic_real, logits = discriminator(real)
        return critic_real, discriminator.critic(fake), logits
    count = len(real)
    features = discriminator.features(torch.cat([real.to(fake.dtype), fake]))
    critic = discriminator.fc_adv(features).squeeze(1)
    return critic[:count], critic[count:], discriminator.fc_cls(features[:count])


def _autocast(device: str, precision: Precision) -> torch.autocast:
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")


@contextlib.contextmanager
def _untrained(network: nn.Module) -> Iterator[None]:
    """Inside, the network's parameters are constants: gradients flow through it, but not into it."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
