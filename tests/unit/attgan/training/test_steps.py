"""The two training steps against the same losses put together another way."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attgan.models import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, fresh
from attgan.training.freeze_d import freeze_lowest
from attgan.training.losses import LossWeights
from attgan.training.steps import Draw, backward, discriminator_losses, draw, generator_losses
from attgan.training.strategies import STRATEGIES, network_values

COUNT, SIZE, N = 3, 64, 5
WEIGHTS = LossWeights(70.0, 11.0, 3.0, 6.0)
MODES = ("wgan", "lsgan", "dcgan")


def networks(norm: str = "instance", seed: int = 0) -> tuple[Generator, Discriminator]:
    generator = fresh(Generator, GeneratorConfig(n_attributes=N, image_size=SIZE, width=3), seed)
    config = DiscriminatorConfig(n_attributes=N, image_size=SIZE, width=3, hidden=8, norm=norm)
    return generator.train(), fresh(Discriminator, config, seed + 1).train()


def faces(seed: int, count: int = COUNT) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, SIZE, SIZE, generator=random) * 2 - 1
    labels = torch.randint(0, 2, (count, N), generator=random).float()
    return images.contiguous(memory_format=torch.channels_last), labels


def drawn(labels: Tensor, network: str = "discriminator", step: int = 0, **changes: Any) -> Draw:
    settings: dict[str, Any] = {
        "seed": 1,
        "network": network,
        "step": step,
        "strategy": STRATEGIES["inverse"],
        "attribute": 2,
        "image_size": SIZE,
    }
    return draw(labels, **settings | changes)


def discriminator_arguments(mode: str = "wgan", seed: int = 0, apart: bool = False) -> dict[str, Any]:
    """A batch; ``apart`` as Alternate has it, with other images to edit than those shown as real."""
    real, labels = faces(seed)
    source, source_labels = faces(seed + 50) if apart else (real, labels)
    random = drawn(source_labels, mode=mode, step=seed)
    return {
        "real": real,
        "real_labels": labels,
        "source": source,
        "source_targets": random.target_values,
        "alpha": random.alpha,
        "noise": random.noise,
        "weights": WEIGHTS,
        "mode": mode,
    }


def generator_arguments(mode: str = "wgan", seed: int = 0) -> dict[str, Any]:
    images, labels = faces(seed)
    random = drawn(labels, "generator", step=seed)
    return {
        "images": images,
        "labels": network_values(labels, "fixed", torch.Generator()),
        "targets": random.targets,
        "target_values": random.target_values,
        "weights": WEIGHTS,
        "mode": mode,
    }


def towards(scores: Tensor, mode: str, real: bool) -> Tensor:
    """The adversarial terms once more."""
    if mode == "wgan":
        return -scores.mean() if real else scores.mean()
    if mode == "lsgan":
        return ((scores - float(real)) ** 2).mean()
    return functional.softplus(-scores if real else scores).mean()


def plain_discriminator_loss(
    generator: Generator, discriminator: Discriminator, arguments: dict[str, Any]
) -> Tensor:
    """As the published code has it: real and fake apart, both heads everywhere, PyTorch's instance norm."""
    real, mode, alpha = arguments["real"], arguments["mode"], arguments["alpha"]
    with torch.no_grad():
        fake = generator(arguments["source"], arguments["source_targets"])
    critic_real, logits = discriminator(real)
    critic_fake, _ = discriminator(fake)
    end = fake if mode == "wgan" else real + 0.5 * real.var().sqrt() * arguments["noise"]
    points = (real + alpha * (end - real)).detach().requires_grad_()
    scores, _ = discriminator(points)
    (slopes,) = torch.autograd.grad(scores, points, torch.ones_like(scores), create_graph=True)
    penalty = ((slopes.flatten(1).norm(dim=1) - 1) ** 2).mean()
    labels = arguments["real_labels"]
    attributes = (functional.softplus(logits) - labels * logits).mean()
    adversarial = towards(critic_real, mode, True) + towards(critic_fake, mode, False)
    return adversarial + WEIGHTS.gradient_penalty * penalty + WEIGHTS.discriminator_attributes * attributes


def with_pytorchs_norms(discriminator: Discriminator) -> Discriminator:
    twin = Discriminator(discriminator.config)
    for block in twin.conv:
        if isinstance(block.layers[1], nn.InstanceNorm2d):
            block.layers[1] = nn.InstanceNorm2d(block.layers[1].num_features, affine=True)
    twin.load_state_dict(discriminator.state_dict())
    return twin.train(discriminator.training)


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_discriminator_step_is_the_published_one(mode: str, apart: bool) -> None:
    generator, discriminator = networks()
    generator, discriminator = generator.double(), discriminator.double()
    arguments = discriminator_arguments(mode, apart=apart)
    arguments = {k: v.double() if isinstance(v, Tensor) else v for k, v in arguments.items()}
    twin = with_pytorchs_norms(discriminator).double()
    expected = plain_discriminator_loss(generator, twin, arguments)
    losses = discriminator_losses(generator, discriminator, **arguments)
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(gradients(losses.total, discriminator), gradients(expected, twin))


def test_with_batch_norm_real_and_fake_are_judged_apart() -> None:
    generator, discriminator = networks("batch")
    twin = with_pytorchs_norms(discriminator)
    arguments = discriminator_arguments()
    expected = plain_discriminator_loss(generator, twin, arguments)
    losses = discriminator_losses(generator, discriminator, **arguments)
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(
        dict(discriminator.named_buffers()), dict(twin.named_buffers()), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_the_discriminators_total_agrees_with_finite_differences(mode: str) -> None:
    """Along one random direction through all parameters, float64; the penalty's part is a second derivative."""
    generator, discriminator = (network.double() for network in networks())
    arguments = discriminator_arguments(mode)
    arguments = {k: v.double() if isinstance(v, Tensor) else v for k, v in arguments.items()}
    start = {name: parameter.detach().clone() for name, parameter in discriminator.named_parameters()}
    random = torch.Generator().manual_seed(3)
    direction = {
        name: torch.randn(p.shape, generator=random, dtype=p.dtype) * p.abs().mean()
        for name, p in start.items()
    }

    def total(shift: float) -> Tensor:
        with torch.no_grad():
            for name, parameter in discriminator.named_parameters():
                parameter.copy_(start[name] + shift * direction[name])
        return discriminator_losses(generator, discriminator, **arguments).total

    found = gradients(total(0), discriminator)
    along = sum((g * d).sum() for g, d in zip(found, direction.values(), strict=True))
    step = 1e-7
    expected = (total(step) - total(-step)) / (2 * step)
    torch.testing.assert_close(along, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_generator_step_is_the_published_one(mode: str) -> None:
    generator, discriminator = networks()
    arguments = generator_arguments(mode)
    buffers = [buffer.clone() for buffer in generator.buffers()]
    losses = generator_losses(generator, discriminator, **arguments)
    found = gradients(losses.total, generator)
    after = [buffer.clone() for buffer in generator.buffers()]
    for buffer, value in zip(generator.buffers(), buffers, strict=True):
        buffer.copy_(value)

    features = generator.encode(arguments["images"])
    edited = generator.decode(features, arguments["target_values"])
    reconstructed = generator.decode(features, arguments["labels"])
    scores, logits = with_pytorchs_norms(discriminator)(edited)
    attributes = (functional.softplus(logits) - arguments["targets"] * logits).mean()
    reconstruction = (reconstructed - arguments["images"]).abs().mean()
    expected = towards(scores, mode, True) + 11 * attributes + 70 * reconstruction
    torch.testing.assert_close(losses.total, expected)
    for ours, theirs in zip(found, gradients(expected, generator), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()))
    torch.testing.assert_close(after, list(generator.buffers()))


def test_a_generator_step_computes_no_gradient_of_the_discriminator() -> None:
    generator, discriminator = networks()
    freeze_lowest(discriminator, 2)
    wanted = [parameter.requires_grad for parameter in discriminator.parameters()]
    generator_losses(generator, discriminator, **generator_arguments()).total.backward()
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.grad is not None for parameter in generator.parameters())
    assert [parameter.requires_grad for parameter in discriminator.parameters()] == wanted


def test_a_discriminator_step_computes_no_gradient_of_the_generator() -> None:
    generator, discriminator = networks()
    discriminator_losses(generator, discriminator, **discriminator_arguments()).total.backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


@pytest.mark.parametrize("layers", [0, 1, 4, 5])
def test_frozen_layers_are_bitwise_unchanged_after_steps(layers: int) -> None:
    generator, discriminator = networks()
    frozen = freeze_lowest(discriminator, layers)
    parts = ("layers.0.weight", "layers.1.weight", "layers.1.bias")
    assert frozen == tuple(f"conv.{depth}.{part}" for depth in range(layers) for part in parts)
    trained = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-2, fused=True)
    before = {name: tensor.clone() for name, tensor in discriminator.state_dict().items()}
    for step in range(2):
        adam.zero_grad()
        losses = discriminator_losses(generator, discriminator, **discriminator_arguments(seed=step))
        backward(losses.total, discriminator)
        adam.step()
    unchanged = {
        name for name, tensor in discriminator.state_dict().items() if torch.equal(tensor, before[name])
    }
    # Shifting all its scores alike is nothing to a Wasserstein critic.
    assert unchanged == {*frozen, "fc_adv.1.layers.0.bias"}


def test_backward_adds_the_same_gradients_and_no_others() -> None:
    generator, discriminator = networks()
    frozen = freeze_lowest(discriminator, 4)
    discriminator_losses(generator, discriminator, **discriminator_arguments()).total.backward()
    everything = {name: p.grad for name, p in discriminator.named_parameters()}
    discriminator.zero_grad()
    losses = discriminator_losses(generator, discriminator, **discriminator_arguments())
    backward(losses.total, discriminator)
    for name, parameter in discriminator.named_parameters():
        if name in frozen:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, everything[name])


def test_low_precision_is_kept_from_the_penalty_and_the_losses() -> None:
    generator, discriminator = networks()
    seen = []
    discriminator.conv[1].register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    arguments = discriminator_arguments() | {"precision": "bfloat16"}
    losses = discriminator_losses(generator, discriminator, **arguments)
    # Real and fake; the penalty's points.
    assert seen == [torch.bfloat16, torch.float32]
    assert {loss.dtype for loss in losses} == {torch.float32}
    full = discriminator_losses(generator, discriminator, **discriminator_arguments())
    assert losses.critic != full.critic
    torch.testing.assert_close(losses.attributes, full.attributes, rtol=0.02, atol=0)
    backward(losses.total, discriminator)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in discriminator.parameters())

    edited = generator_losses(generator, discriminator, **generator_arguments(), precision="bfloat16")
    whole = generator_losses(generator, discriminator, **generator_arguments())
    torch.testing.assert_close(edited.total, whole.total, rtol=0.01, atol=0)
    assert edited.total != whole.total
