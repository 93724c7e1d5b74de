"""Attribute masks hold the glasses and little else; masks fade to exactly 0."""

import pytest
import torch

from attgan.attributes import Edit
from attgan.editing.masks import attribute_mask, faded_square
from attgan.evaluation.region import edit_region

GLASSES = Edit("Eyeglasses", True)


@pytest.mark.parametrize("size", [64, 256])
def test_mask_holds_drawn_glasses_and_a_third_of_the_face_at_most(size: int) -> None:
    region, mask = edit_region("Eyeglasses", size), attribute_mask([GLASSES], size)
    assert region is not None
    assert mask is not None
    assert mask.shape == (size, size)
    assert float(mask[torch.from_numpy(region.copy())].min()) > 0.5
    assert float((mask > 0).float().mean()) < 0.35


@pytest.mark.parametrize("edits", [[], [Edit("Male", True)], [GLASSES, Edit("Young", False)]])
def test_edits_of_other_attributes_have_no_mask(edits: list[Edit]) -> None:
    assert attribute_mask(edits, 64) is None


@pytest.mark.parametrize("size", [64])
def test_square_fades_to_zero_at_its_outermost_pixels(size: int) -> None:
    weights = faded_square(size)
    assert float(weights[size // 2, size // 2]) == 1
    assert torch.equal(weights[0], torch.zeros(size))
    assert torch.equal(weights, weights.mT)
    assert bool((weights[size // 2, : size // 2].diff() >= 0).all())
