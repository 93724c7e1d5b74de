"""Crops of a photograph show what their matrices select, from a level of suitable size."""

import numpy as np
import torch

from attgan.detection.crops import open_photograph, take_crops

CPU = torch.device("cpu")


def ramp(width: int, height: int) -> np.ndarray:
    """Red grows to the right and green down, by one level a pixel."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width), np.arange(height)[:, None]
    return pixels


def levels(crops: torch.Tensor) -> np.ndarray:
    return crops.numpy() * 128 + 127.5


def test_crops_of_all_sizes_show_their_place() -> None:
    photograph = open_photograph(ramp(240, 200), 1000, CPU)
    matrices = np.array([[[scale, 0, 60.0], [0, scale, 50]] for scale in (0.5, 1, 4)])
    crops = levels(take_crops(photograph, matrices, 24))
    for crop, scale in zip(crops, (0.5, 1, 4), strict=True):
        middle = scale * 12 - 0.5
        assert abs(crop[0, 11:13, 11:13].mean() - (60 + middle)) < 1
        assert abs(crop[1, 11:13, 11:13].mean() - (50 + middle)) < 1


def test_outermost_pixels_are_repeated_beyond_the_photograph() -> None:
    photograph = open_photograph(ramp(100, 100), 1000, CPU)
    (crop,) = levels(take_crops(photograph, np.array([[[1.0, 0, 90], [0, 1, 40]]]), 24))
    np.testing.assert_allclose(crop[0, :, 12:], 99, atol=0.5)


def test_large_photograph_is_reduced_to_the_longest_side() -> None:
    photograph = open_photograph(ramp(250, 100), 125, CPU)
    assert photograph.size == (50, 125)
    assert min(photograph.levels[-1].shape[2:]) >= 16
