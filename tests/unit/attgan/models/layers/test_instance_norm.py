"""Instance norm against PyTorch's own, and its derivatives against finite differences."""

import pytest
import torch
from torch import nn

from attgan.models.layers.instance_norm import InstanceNorm2d


def norms(channels: int) -> tuple[InstanceNorm2d, nn.InstanceNorm2d]:
    """Ours and PyTorch's, float64, with the same scale and shift."""
    ours = InstanceNorm2d(channels, affine=True).double()
    random = torch.Generator().manual_seed(0)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, generator=random)
    theirs = nn.InstanceNorm2d(channels, affine=True).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def tensors(*shape: int, count: int = 1) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_() for _ in range(count)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_output_and_gradients_are_pytorchs(layout: torch.memory_format) -> None:
    ours, theirs = norms(5)
    (images,) = tensors(3, 5, 6, 4)
    images = images.detach().contiguous(memory_format=layout)
    found = ours(images)
    assert found.is_contiguous(memory_format=layout)
    torch.testing.assert_close(found, theirs(images))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)


def test_derivatives_agree_with_finite_differences() -> None:
    ours, _ = norms(3)
    (images,) = tensors(2, 3, 3, 2)

    def run(images: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(ours, {"weight": scale, "bias": shift}, (images,))

    assert torch.autograd.gradcheck(run, (images, ours.weight, ours.bias))
    assert torch.autograd.gradgradcheck(run, (images, ours.weight, ours.bias))


def test_second_derivatives_are_pytorchs_on_even_images() -> None:
    """Where the norm divides by little more than its epsilon."""
    ours, theirs = norms(3)
    (images, direction) = tensors(2, 3, 2, 2, count=2)

    def second(norm: nn.Module) -> tuple[torch.Tensor, ...]:
        flat = (1 + 1e-3 * images.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad((norm(flat) ** 3).sum(), flat, create_graph=True)
        return torch.autograd.grad((gradient * direction).sum(), [flat, norm.weight, norm.bias])

    torch.testing.assert_close(second(ours), second(theirs))


def test_autocast_keeps_low_precision_and_layout() -> None:
    ours, theirs = norms(4)
    ours, theirs = ours.float(), theirs.float()
    (images,) = tensors(2, 4, 8, 8)
    images = images.detach().bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(images)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.float(), theirs(images.float()), rtol=0.02, atol=0.02)
