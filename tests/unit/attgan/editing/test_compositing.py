"""Composites: the face with only the change, the same in training and editing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attgan.editing.compositing import composite, edit_mask

SIZE = 64


def images(seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [64, 256])
def test_mask_covers_a_third_at_most_and_fades_to_its_edges(size: int) -> None:
    mask = edit_mask(size)
    assert float((mask > 0).float().mean()) <= 1 / 3
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    inside = mask[mask.any(1)][:, mask.any(0)]
    assert float(inside[0].max()) < 0.2
    assert float(inside[:, 0].max()) < 0.2


@given(st.integers(0, 2**31))
def test_composite_equals_the_face_outside_the_mask(seed: int) -> None:
    face, edited, unedited = (images(seed + step) for step in range(3))
    mask = edit_mask(SIZE)
    result = composite(face, edited, unedited, mask)
    assert torch.equal(result[..., mask == 0], face[..., mask == 0])
    assert float(result.min()) >= -1e-6
    assert float(result.max()) <= 1 + 1e-6


def test_opaque_dark_frame_hides_what_lies_under_it() -> None:
    stripes = (torch.arange(SIZE) % 2).float().expand(1, 3, SIZE, SIZE) * 0.6 + 0.2
    smooth = torch.full((1, 3, SIZE, SIZE), 0.5)
    frame = torch.zeros_like(smooth)
    result = composite(stripes, frame, smooth, torch.ones(SIZE, SIZE))
    assert float(result.max()) < 0.05


def test_gradient_agrees_with_finite_differences() -> None:
    face, unedited = images(4, 1).double(), images(5, 1).double() * 0.8 + 0.1
    edited = (unedited + 0.05 * (images(6, 1).double() - 0.5).sign()).requires_grad_()
    mask = edit_mask(SIZE).double()
    composite(face, edited, unedited, mask).sum().backward()
    gradient = edited.grad
    assert gradient is not None
    where, step = (0, 1, SIZE // 2, SIZE // 2), 1e-6
    moved = edited.detach().clone()
    moved[where] += step
    plus = composite(face, moved, unedited, mask).sum()
    moved[where] -= 2 * step
    minus = composite(face, moved, unedited, mask).sum()
    assert float(gradient[where]) == pytest.approx(float((plus - minus) / (2 * step)), rel=1e-4)
