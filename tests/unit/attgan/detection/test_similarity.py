"""Similarities are fitted, applied and inverted."""

import numpy as np
import pytest

from attgan.detection.similarity import apply, fit_similarity, invert, scale_of

POINTS = np.array([[0.0, 0.0], [10.0, 2.0], [3.0, 7.0], [8.0, 9.0]])


def similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y]])


@pytest.mark.parametrize("degrees", [0, 35, -120, 180])
def test_fit_recovers_scale_rotation_and_shift(degrees: float) -> None:
    matrix = similarity(2.5, degrees, 40, -7)
    found = fit_similarity(POINTS, apply(matrix, POINTS))
    np.testing.assert_allclose(found, matrix, atol=1e-9)
    assert scale_of(found) == pytest.approx(2.5)


def test_fit_of_a_mirror_image_is_no_reflection() -> None:
    found = fit_similarity(POINTS, POINTS * (-1, 1))
    assert np.linalg.det(found[:, :2]) > 0


def test_inverse_maps_points_back_for_many_matrices_at_once() -> None:
    matrices = np.stack([similarity(0.3, 20, 5, 6), similarity(4, -70, -100, 12)])
    there = apply(matrices, POINTS)
    np.testing.assert_allclose(apply(invert(matrices), there), np.stack([POINTS, POINTS]), atol=1e-9)


def test_points_that_are_all_one_are_refused() -> None:
    with pytest.raises(ValueError, match="two points"):
        fit_similarity(np.ones((5, 2)), POINTS[:1].repeat(5, 0))
