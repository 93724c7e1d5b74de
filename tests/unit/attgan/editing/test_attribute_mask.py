import numpy as np
import pytest
import torch

from attgan.attributes import Edit
from attgan.editing.attribute_mask import attribute_mask
from attgan.editing.difference import relative_change
from attgan.evaluation.region import edit_region

GLASSES = Edit("Eyeglasses", True)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_drawn_glasses_have_room(size: int) -> None:
    region, reach = edit_region("Eyeglasses", size), attribute_mask([GLASSES], size)
    assert region is not None
    assert reach is not None
    assert reach.shape == (size, size)
    assert float(reach[torch.from_numpy(region.copy())].min()) > 0.5
    assert float((reach > 0).float().mean()) < 0.35  # and the rest of the face is out of it


def test_taking_glasses_off_reaches_as_far() -> None:
    on, off = attribute_mask([GLASSES], 64), attribute_mask([Edit("Eyeglasses", False, 2.0)], 64)
    assert on is not None
    assert off is not None
    assert torch.equal(on, off)


@pytest.mark.parametrize("edits", [[], [Edit("Male", True)], [GLASSES, Edit("Young", False)]])
def test_other_edits_may_show_anywhere(edits: list[Edit]) -> None:
    assert attribute_mask(edits, 64) is None


def test_what_changes_out_of_reach_is_left_alone_and_hides_nothing_within() -> None:
    face = np.full((64, 64, 3), 128, np.uint8)
    edited = face.copy()
    edited[28:38, 20:44] = 90  # glasses
    alone = relative_change(edited, face, attribute_mask([GLASSES], 64))
    edited[8:14, 12:52] = 255  # a far stronger change on the forehead
    change = relative_change(edited, face, attribute_mask([GLASSES], 64))
    assert torch.equal(change[:, :20], torch.zeros_like(change[:, :20]))
    assert torch.equal(change, alone)
    assert float(change[:, 33, 32].abs().min()) > 0.2
    anywhere = relative_change(edited, face)
    assert float(anywhere[:, 11, 32].abs().min()) > 0.5
    assert float(anywhere[:, 33, 32].abs().max()) == 0
