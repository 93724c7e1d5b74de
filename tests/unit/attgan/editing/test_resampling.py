"""Images are resampled under similarities: windows cover, reduction keeps the mapping, values are interpolated."""

import numpy as np
import pytest
import torch

from attgan.detection.similarity import apply
from attgan.editing.resampling import Window, covering_window, reduced, resample, with_origin

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def test_covering_window_contains_the_turned_rectangle() -> None:
    cos, sin = np.cos(0.5), np.sin(0.5)
    matrix = np.array([[cos, -sin, 40], [sin, cos, 30]])
    window = covering_window(matrix, Window(0, 0, 20, 10), 200, 200)
    corners = apply(matrix, [[0, 0], [20, 0], [0, 10], [20, 10]])
    assert (corners.min(0) >= [window.left, window.top]).all()
    assert (corners.max(0) <= [window.right, window.bottom]).all()


def test_covering_window_beyond_the_image_has_one_pixel() -> None:
    window = covering_window(with_origin(IDENTITY, 500, 500), Window(0, 0, 20, 10), 100, 80)
    assert window == (0, 0, 1, 1)


def test_identity_returns_the_window_of_the_image() -> None:
    image = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    result = resample(image, IDENTITY, Window(2, 3, 10, 9))
    torch.testing.assert_close(result, image[0, :, 3:9, 2:10], atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2.0, 5.0])
def test_reduced_image_shows_the_same_ramp(scale: float) -> None:
    ramp = torch.linspace(0, 1, 200).expand(1, 1, 200, 200)
    matrix = IDENTITY * scale
    image, to_image = reduced(ramp, matrix)
    assert image.shape[-1] == round(200 / scale)
    inner = Window(5, 5, round(200 / scale) - 5, 10)
    torch.testing.assert_close(
        resample(image, to_image, inner), resample(ramp, matrix, inner), atol=5e-3, rtol=0
    )
