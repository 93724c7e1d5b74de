"""The eyes of a face: where, how sharp, and what an edit may touch."""

import numpy as np
import pytest

from attgan.data.transforms import Box
from attgan.editing.placement import Placement, box_placement
from attgan.evaluation.eye_region import EYES, changes, mask_in_photograph, sharpness


def test_sharpness_is_the_mean_absolute_laplacian_pixel_by_pixel() -> None:
    face = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    left, top, right, bottom = (round(edge * 64) for edge in EYES)
    grey = [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in face.tolist()]
    values = [
        abs(4 * grey[y][x] - grey[y - 1][x] - grey[y + 1][x] - grey[y][x - 1] - grey[y][x + 1])
        for y in range(top + 1, bottom - 1)
        for x in range(left + 1, right - 1)
    ]
    assert sharpness(face) == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_mask_is_where_its_face_is(angle: float) -> None:
    mask = np.zeros((32, 32), np.float32)
    mask[8:16, 4:28] = 0.5
    turn = 100 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placement = Placement(np.column_stack([turn, [70.0, 40.0]]))
    inside = mask_in_photograph(placement.matrix, 200, 220, mask)
    for u, v, there in [(0.5, 0.37, True), (0.2, 0.3, True), (0.5, 0.8, False), (0.99, 0.1, False)]:
        x, y = placement.matrix @ [u, v, 1]
        assert inside[int(y), int(x)] == there
    # The mask and what interpolation reaches beyond it: 3 pixels of 32 on each side.
    assert inside.sum() == pytest.approx((14 / 32) * (30 / 32) * 100**2, rel=0.02)


def test_changes_inside_and_outside_are_told_apart() -> None:
    mask = np.zeros((16, 16), np.float32)
    mask[7:9, 7:9] = 1
    inside = mask_in_photograph(box_placement(Box(0, 0, 80)).matrix, 80, 80, mask)
    before = np.full((80, 80, 3), 100, np.uint8)
    after = before.copy()
    after[inside] += np.array([0, 5, 0], np.uint8)
    assert changes(before, after, inside) == (1.0, 0)
    after[inside] -= np.array([0, 1, 0], np.uint8)
    assert changes(before, after, inside) == (0.0, 0)
    after[0, 0, 2] = 93
    assert changes(before, after, inside) == (0.0, 7)
    everywhere = np.ones_like(inside)
    assert changes(before, after, inside, everywhere) == (0.0, 0)
