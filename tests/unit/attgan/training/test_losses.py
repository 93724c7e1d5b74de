"""Every loss against a value worked out another way: by hand, by numpy, by finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attgan.training.losses import (
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

fixed = settings(derandomize=True, deadline=None, max_examples=25)
scores = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=6)


def images(count: int, size: int = 4, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=random, dtype=torch.float64) * 2 - 1


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross entropy, the formula as it stands in books."""
    shown = sigmoid(logits.astype(np.float64))
    return float(-(labels * np.log(shown) + (1 - labels) * np.log(1 - shown)).mean())


def test_reconstruction_is_the_mean_absolute_difference() -> None:
    one, other = images(3, seed=1).float(), images(3, seed=2).float()
    expected = np.abs(one.numpy().astype(np.float64) - other.numpy()).mean()
    assert reconstruction_loss(one, other).item() == pytest.approx(expected, rel=1e-6)
    # By hand: a difference of 0.5 everywhere, whatever the number of images and pixels.
    assert reconstruction_loss(torch.full((2, 3, 8, 8), 0.25), torch.full((2, 3, 8, 8), -0.25)) == 0.5


@given(st.integers(1, 5), st.integers(1, 13), st.integers(0, 99))
@fixed
def test_attribute_loss_is_the_mean_cross_entropy(count: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (count, n)).astype(np.float32)
    labels = random.integers(0, 2, (count, n)).astype(np.float32)
    found = attribute_loss(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    assert found == pytest.approx(entropy(logits, labels), rel=1e-5)


def test_attribute_loss_stays_finite_where_the_formula_does_not() -> None:
    logits = torch.tensor([[300.0, -300.0]])
    assert attribute_loss(logits, torch.tensor([[1.0, 0.0]])) == 0
    assert attribute_loss(logits, torch.tensor([[0.0, 1.0]])) == 300


@given(scores, scores)
@fixed
def test_adversarial_losses_are_those_of_their_papers(real: list[float], fake: list[float]) -> None:
    reals, fakes = np.array(real), np.array(fake)
    discriminator = {
        "wgan": fakes.mean() - reals.mean(),
        "lsgan": ((reals - 1) ** 2).mean() + (fakes**2).mean(),
        "dcgan": -np.log(sigmoid(reals)).mean() - np.log(1 - sigmoid(fakes)).mean(),
    }
    generator = {
        "wgan": -fakes.mean(),
        "lsgan": ((fakes - 1) ** 2).mean(),
        "dcgan": -np.log(sigmoid(fakes)).mean(),
    }
    for mode in ("wgan", "lsgan", "dcgan"):
        found = critic_loss(torch.tensor(real), torch.tensor(fake), mode).item()
        assert found == pytest.approx(discriminator[mode], rel=1e-4, abs=1e-4)
        assert adversarial_loss(torch.tensor(fake), mode).item() == pytest.approx(
            generator[mode], rel=1e-4, abs=1e-4
        )


def test_losses_of_low_precision_scores_are_float32() -> None:
    low = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    for loss in (
        critic_loss(low, low),
        adversarial_loss(low),
        attribute_loss(low[None], torch.ones(1, 2)),
        reconstruction_loss(low, low),
    ):
        assert loss.dtype == torch.float32


def test_objectives_weigh_their_terms_as_the_report_does() -> None:
    terms = [torch.tensor(value) for value in (2.0, 3.0, 5.0)]
    weights = LossWeights()
    assert generator_objective(*terms, weights) == 2 + 10 * 3 + 100 * 5
    assert discriminator_objective(*terms, weights) == 2 + 1 * 3 + 10 * 5
    other = LossWeights(50, 7, 11, 13)
    assert generator_objective(*terms, other) == 2 + 7 * 3 + 50 * 5
    assert discriminator_objective(*terms, other) == 2 + 11 * 3 + 13 * 5


@given(st.integers(1, 4), st.integers(0, 99))
@fixed
def test_points_lie_on_the_line_between_each_real_and_its_fake(count: int, seed: int) -> None:
    real, fake = images(count, seed=seed).float(), images(count, seed=seed + 1).float()
    alpha = torch.rand(count, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
    points = points_between(real, fake, alpha)
    for i in range(count):
        part = alpha[i].item()
        expected = (1 - part) * real[i].numpy() + part * fake[i].numpy()
        np.testing.assert_allclose(points[i].numpy(), expected, atol=1e-6)


def test_points_of_share_0_and_1_are_the_images_themselves() -> None:
    real, fake = images(2, seed=1).float(), images(2, seed=2).float()
    assert torch.equal(points_between(real, fake, torch.zeros(2, 1, 1, 1)), real)
    assert torch.equal(points_between(real, fake, torch.ones(2, 1, 1, 1)), fake)


def test_dragan_points_lie_between_a_real_image_and_its_noisy_copy() -> None:
    real = images(3).float()
    random = torch.Generator().manual_seed(5)
    alpha = torch.rand(3, 1, 1, 1, generator=random)
    noise = torch.rand(real.shape, generator=random)
    deviation = real.numpy().astype(np.float64).std(ddof=1)
    noisy = real.numpy() + 0.5 * deviation * noise.numpy()
    expected = real.numpy() + alpha.numpy() * (noisy - real.numpy())
    np.testing.assert_allclose(dragan_points(real, alpha, noise).numpy(), expected, atol=1e-6)


@given(st.floats(0, 3), st.integers(1, 5))
@fixed
def test_penalty_of_a_linear_critic_is_that_of_its_slope(length: float, count: int) -> None:
    slope = images(1, seed=3)
    slope = slope / slope.norm() * length

    def critic(points: Tensor) -> Tensor:
        return (points * slope).flatten(1).sum(1)

    assert gradient_penalty(critic, images(count)).item() == pytest.approx((length - 1) ** 2, abs=1e-12)


def test_penalty_of_a_quadratic_critic_has_a_closed_form() -> None:
    """Critic a/2 ‖x‖² has gradient a·x: the penalty is mean (a‖x‖ - 1)², its slope mean 2 (a‖x‖ - 1) ‖x‖."""
    points = images(4)
    lengths = points.flatten(1).norm(dim=1).numpy()
    a = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(lambda x: a / 2 * x.square().flatten(1).sum(1), points)
    penalty.backward()
    assert penalty.item() == pytest.approx(((0.3 * lengths - 1) ** 2).mean(), rel=1e-12)
    assert a.grad is not None
    assert a.grad.item() == pytest.approx((2 * (0.3 * lengths - 1) * lengths).mean(), rel=1e-12)


def test_penalty_is_a_mean_over_images_not_of_their_mean() -> None:
    """Slopes 0 and 2: each is 1 off, though their mean is right."""
    factors = torch.tensor([0.0, 2.0], dtype=torch.float64)

    def critic(points: Tensor) -> Tensor:
        return factors * points[:, 0, 0, 0]

    assert gradient_penalty(critic, images(2)).item() == pytest.approx(1)


def test_penalty_leads_to_the_critic_and_not_to_the_points() -> None:
    points = images(2).requires_grad_()
    weight = torch.ones(3, 4, 4, dtype=torch.float64, requires_grad=True)
    gradient_penalty(lambda x: (x * weight).flatten(1).sum(1) ** 2, points).backward()
    assert weight.grad is not None
    assert points.grad is None


def test_gradient_of_the_penalty_agrees_with_finite_differences() -> None:
    """A small smooth critic, float64, all its parameters at once."""
    random = torch.Generator().manual_seed(7)
    shapes = ((4, 3, 2, 2), (4,), (1, 4 * 3 * 3))
    parameters = [
        (torch.randn(shape, generator=random, dtype=torch.float64) / 3).requires_grad_() for shape in shapes
    ]
    points = images(2)

    def penalty(kernel: Tensor, shift: Tensor, last: Tensor) -> Tensor:
        def critic(x: Tensor) -> Tensor:
            hidden = torch.nn.functional.conv2d(x, kernel, shift).tanh()
            return (hidden.flatten(1) @ last.T).squeeze(1)

        return gradient_penalty(critic, points)

    assert torch.autograd.gradcheck(penalty, parameters)
    assert math.isfinite(penalty(*parameters).item())
