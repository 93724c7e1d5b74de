"""The thresholded change keeps the strongest parts of a face's change, inside its mask."""

import numpy as np
import torch

from attgan.attributes import Edit
from attgan.editing.masks import attribute_mask
from attgan.editing.thresholded import thresholded_change

MASK = attribute_mask([Edit("Eyeglasses", True)], 64)


def test_changes_outside_the_mask_are_dropped_and_hide_none_inside() -> None:
    face = np.full((64, 64, 3), 128, np.uint8)
    edited = face.copy()
    # Glasses.
    edited[28:38, 20:44] = 90
    alone = thresholded_change(edited, face, MASK)
    # A far stronger change, on the forehead.
    edited[8:14, 12:52] = 255
    change = thresholded_change(edited, face, MASK)
    assert torch.equal(change[:, :20], torch.zeros_like(change[:, :20]))
    assert torch.equal(change, alone)
    assert float(change[:, 33, 32].abs().min()) > 0.2
    unmasked = thresholded_change(edited, face)
    assert float(unmasked[:, 11, 32].abs().min()) > 0.5
    assert float(unmasked[:, 33, 32].abs().max()) == 0


def test_weak_change_is_kept_only_if_connected_to_a_strong_one() -> None:
    face = np.full((64, 64, 3), 128, np.uint8)
    edited = face.copy()
    edited[26:38, 12:28] = 60
    # Half as strong: one next to the strong one, one far from it.
    edited[26:38, 28:34] = 96
    edited[44:52, 46:54] = 96
    change = thresholded_change(edited, face)
    assert float(change[:, 31, 20].abs().min()) > 0.3
    assert float(change[:, 31, 30].abs().min()) > 0.1
    assert float(change[:, 48, 50].abs().max()) == 0
