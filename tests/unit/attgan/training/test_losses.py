"""Losses by hand, by the formulas of their papers, by finite differences; whole steps are in ``test_steps.py``."""

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
    critic_loss,
    discriminator_objective,
    generator_objective,
    gradient_penalty,
    reconstruction_loss,
)

fixed = settings(derandomize=True, deadline=None, max_examples=25)
scores = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=6)


def images(count: int, size: int = 4, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=random, dtype=torch.float64) * 2 - 1


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_reconstruction_is_the_mean_absolute_difference() -> None:
    one, other = images(3, seed=1).float(), images(3, seed=2).float()
    expected = np.abs(one.numpy().astype(np.float64) - other.numpy()).mean()
    assert reconstruction_loss(one, other).item() == pytest.approx(expected, rel=1e-6)
    # By hand: a difference of 0.5 everywhere, whatever the number of images and pixels.
    assert reconstruction_loss(torch.full((2, 3, 8, 8), 0.25), torch.full((2, 3, 8, 8), -0.25)) == 0.5


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


def test_objectives_weigh_their_terms_as_the_report_does() -> None:
    terms = [torch.tensor(value) for value in (2.0, 3.0, 5.0)]
    weights = LossWeights()
    assert generator_objective(*terms, weights) == 2 + 10 * 3 + 100 * 5
    assert discriminator_objective(*terms, weights) == 2 + 1 * 3 + 10 * 5
    other = LossWeights(50, 7, 11, 13)
    assert generator_objective(*terms, other) == 2 + 7 * 3 + 50 * 5
    assert discriminator_objective(*terms, other) == 2 + 11 * 3 + 13 * 5


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
