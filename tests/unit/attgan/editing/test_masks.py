"""Attribute masks hold the glasses and little else; masks fade to exactly 0."""

import pytest
import torch

from attgan.attributes import Edit
from attgan.editing.masks import attribute_mask
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
