"""The loops that ``training.py`` compares: our two steps as the trainer runs them, and naive ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from attgan.models import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, fresh
from attgan.training.losses import LossWeights
from attgan.training.steps import Precision, backward, discriminator_losses, draw, generator_losses
from attgan.training.strategies import STRATEGIES, network_values

ATTRIBUTE = 6
WEIGHTS = LossWeights()


@dataclass(frozen=True)
class Case:
    """What is measured."""

    width: int
    size: int
    batch: int
    device: str = "cpu"

    @property
    def precision(self) -> Precision:
        """Of our steps: what training uses on this device."""
        return "bfloat16" if self.device == "cuda" else "float32"


@dataclass(frozen=True)
class Steps:
    """One loop: its two steps, each with the optimiser's."""

    discriminator: Callable[[], None]
    generator: Callable[[], None]


def networks(case: Case) -> tuple[Generator, Discriminator]:
    generator = fresh(Generator, GeneratorConfig(width=case.width, image_size=case.size), seed=0)
    discriminator = fresh(Discriminator, DiscriminatorConfig(width=case.width, image_size=case.size), seed=1)
    return generator.train().to(case.device), discriminator.train().to(case.device)


def batch(case: Case) -> tuple[Tensor, Tensor]:
    """Images on the device and labels on the CPU."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(case.batch, 3, case.size, case.size, generator=random) * 2 - 1
    labels = torch.randint(0, 2, (case.batch, 13), generator=random).float()
    return images.to(case.device), labels


def our_steps(case: Case) -> Steps:
    """As the trainer runs them."""
    generator, discriminator = networks(case)
    adams = {
        network: torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.5, 0.999), fused=True)
        for network in (generator, discriminator)
    }
    images, labels = batch(case)
    images = images.contiguous(memory_format=torch.channels_last)
    own = network_values(labels, "fixed", torch.Generator()).to(case.device)
    device_labels = labels.to(case.device)
    done = {"discriminator": 0, "generator": 0}

    def drawn(network: str) -> dict[str, Tensor | None]:
        random = draw(
            labels,
            seed=0,
            network=network,  # type: ignore[arg-type]
            step=done[network],
            strategy=STRATEGIES["inverse"],
            attribute=ATTRIBUTE,
            image_size=case.size,
        )
        done[network] += 1
        return {
            name: tensor if tensor is None else tensor.to(case.device, non_blocking=True)
            for name, tensor in random._asdict().items()
        }

    def descend(network: nn.Module, total: Tensor) -> None:
        adams[network].zero_grad()
        backward(total, network)
        adams[network].step()

    def discriminator_step() -> None:
        random = drawn("discriminator")
        losses = discriminator_losses(
            generator,
            discriminator,
            real=images,
            real_labels=device_labels,
            source=images,
            source_targets=random["target_values"],
            alpha=random["alpha"],
            weights=WEIGHTS,
            precision=case.precision,
        )
        descend(discriminator, losses.total)

    def generator_step() -> None:
        random = drawn("generator")
        losses = generator_losses(
            generator,
            discriminator,
            images=images,
            labels=own,
            targets=random["targets"],
            target_values=random["target_values"],
            weights=WEIGHTS,
            precision=case.precision,
        )
        descend(generator, losses.total)

    return Steps(discriminator_step, generator_step)


def naive_steps(case: Case) -> Steps:
    """As they are usually written down.

    float32, contiguous tensors, PyTorch's instance norm, real and fake judged apart, both heads everywhere, the image
    encoded for each of its two decodings, the discriminator's gradients computed in the generator's step too, plain
    Adam, and the loss read after every step.
    """
    generator, discriminator = (_naive(network) for network in networks(case))
    adam_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.999), foreach=False)
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=1e-4, betas=(0.5, 0.999), foreach=False)
    images, labels = batch(case)
    labels = labels.to(case.device)
    targets = labels.clone()
    targets[:, ATTRIBUTE] = 1 - targets[:, ATTRIBUTE]
    own, wanted = labels - 0.5, targets - 0.5
    entropy = functional.binary_cross_entropy_with_logits

    def discriminator_step() -> None:
        fake = generator(images, wanted).detach()
        critic_real, logits = discriminator(images)
        critic_fake, _ = discriminator(fake)
        share = torch.rand(len(images), 1, 1, 1, device=images.device)
        points = (images + share * (fake - images)).requires_grad_()
        scores, _ = discriminator(points)
        (slopes,) = torch.autograd.grad(scores, points, torch.ones_like(scores), create_graph=True)
        penalty = ((slopes.flatten(1).norm(dim=1) - 1) ** 2).mean()
        loss = critic_fake.mean() - critic_real.mean() + 10 * penalty + entropy(logits, labels)
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        loss.item()

    def generator_step() -> None:
        fake = generator(images, wanted)
        reconstructed = generator(images, own)
        scores, logits = discriminator(fake)
        loss = (
            -scores.mean() + 10 * entropy(logits, targets) + 100 * functional.l1_loss(reconstructed, images)
        )
        adam_g.zero_grad()
        loss.backward()
        adam_g.step()
        loss.item()

    return Steps(discriminator_step, generator_step)


def _naive(network: nn.Module) -> nn.Module:
    """The same network of PyTorch's layers, nothing in place, contiguous."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.InstanceNorm2d):
                plain = nn.InstanceNorm2d(child.num_features, affine=True, device=child.weight.device)
                plain.load_state_dict(child.state_dict())
                setattr(module, name, plain)
            elif isinstance(child, (nn.LeakyReLU, nn.ReLU)):
                apart = copy.copy(child)
                apart.inplace = False
                setattr(module, name, apart)
    return network.to(memory_format=torch.contiguous_format)
