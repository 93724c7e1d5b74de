import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from attgan.attributes import Edit
from attgan.data.transforms import Box
from attgan.editing.change import change_of
from attgan.editing.compositing import composite, edit_mask
from attgan.editing.placement import boxed, put_change
from attgan.models import GeneratorConfig

SIZE = 64
DIRECT = GeneratorConfig(image_size=SIZE, compositing="direct")
GLASSES = [Edit("Eyeglasses", True)]


def images(seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [64, 128, 256])
def test_mask_covers_a_third_at_most_and_fades_to_its_edges(size: int) -> None:
    mask = edit_mask(size)
    assert float((mask > 0).float().mean()) <= 1 / 3
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    inside = mask[mask.any(1)][:, mask.any(0)]
    assert float(inside[0].max()) < 0.2
    assert float(inside[:, 0].max()) < 0.2


@given(st.integers(0, 2**31))
def test_composite_stays_in_range_and_equals_the_face_outside_the_mask(seed: int) -> None:
    face, edited, unedited = (images(seed + step) for step in range(3))
    mask = edit_mask(SIZE)
    result = composite(face, edited, unedited, mask)
    assert torch.equal(result[..., mask == 0], face[..., mask == 0])
    assert float(result.min()) >= -1e-6
    assert float(result.max()) <= 1 + 1e-6


def test_generator_that_changes_nothing_leaves_the_face() -> None:
    face, drawn = images(0), images(1)
    assert torch.equal(composite(face, drawn, drawn, edit_mask(SIZE)), face)


def test_opaque_dark_frame_hides_what_lies_under_it() -> None:
    stripes = (torch.arange(SIZE) % 2).float().expand(1, 3, SIZE, SIZE) * 0.6 + 0.2
    smooth = torch.full((1, 3, SIZE, SIZE), 0.5)
    frame = torch.zeros_like(smooth)
    result = composite(stripes, frame, smooth, torch.ones(SIZE, SIZE))
    assert float(result.max()) < 0.05


def test_rounding_to_grey_levels_leaves_next_to_nothing() -> None:
    random = np.random.default_rng(3)
    drawn = random.integers(2, 254, (SIZE, SIZE, 3), dtype=np.uint8)
    noisy = (drawn + random.integers(-1, 2, drawn.shape)).astype(np.uint8)
    photograph = drawn.copy()
    put_change(photograph, boxed(Box(0, 0, SIZE)), change_of(DIRECT, GLASSES, noisy, drawn, SIZE))
    assert int(np.abs(photograph.astype(int) - drawn).max()) <= 1
    assert (photograph != drawn).mean() < 0.01


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


def test_photograph_gets_what_training_looked_at() -> None:
    """What the edit writes and what the losses saw are one picture, up to grey levels."""
    face, edited, unedited = ((images(seed, 1) * 200 + 27).round() / 255 for seed in (7, 8, 9))
    expected = composite(face, edited, unedited, edit_mask(SIZE))[0]

    def pixels(image: torch.Tensor) -> np.ndarray:
        return (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()

    photograph = pixels(face).copy()
    put_change(
        photograph, boxed(Box(0, 0, SIZE)), change_of(DIRECT, GLASSES, pixels(edited), pixels(unedited), SIZE)
    )
    distance = torch.from_numpy(photograph).permute(2, 0, 1) / 255 - expected
    assert float(distance.abs().max()) <= 4 / 255


def test_old_bundles_and_other_attributes_keep_the_thresholded_change() -> None:
    edited, unedited = (np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in (100, 128))
    old = change_of(GeneratorConfig(image_size=SIZE), GLASSES, edited, unedited, SIZE)
    other = change_of(DIRECT, [Edit("Male", True)], edited, unedited, SIZE)
    new = change_of(DIRECT, GLASSES, edited, unedited, SIZE)
    assert not torch.equal(old, new)
    outside = edit_mask(SIZE) == 0
    assert float(new[:, outside].abs().max()) == 0
    assert float(other[:, outside].abs().max()) > 0


def test_a_face_that_is_larger_in_the_photograph_gets_a_sharper_change_inside_the_mask_alone() -> None:
    unedited = np.full((SIZE, SIZE, 3), 160, np.uint8)
    edited = unedited.copy()
    # A dark bar, as soft as a generator draws it.
    rows = slice(SIZE // 2 - 3, SIZE // 2 + 4)
    edited[rows, SIZE // 4 : -SIZE // 4] = np.array([130, 90, 50, 30, 50, 90, 130], np.uint8)[:, None, None]
    as_drawn, smaller, larger = (
        change_of(DIRECT, GLASSES, edited, unedited, side) for side in (SIZE, SIZE / 2, SIZE * 3)
    )
    assert torch.equal(as_drawn, smaller)
    assert larger.shape == (3, 3 * SIZE, 3 * SIZE)
    plain = F.interpolate(as_drawn[None], scale_factor=3, mode="bicubic")[0]
    assert float(larger.diff(dim=1).abs().max()) > 1.5 * float(plain.diff(dim=1).abs().max())
    # The bar is as dark as before, and nothing overshoots.
    assert float(plain.min()) - 1e-3 <= float(larger.min()) <= 0.9 * float(as_drawn.min())
    assert float(larger.max()) <= 0.02
    outside = (edit_mask(SIZE) == 0).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert float(larger[:, outside].abs().max()) == 0
