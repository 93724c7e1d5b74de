"""The before/after grid shows every pair, whatever their sizes."""

import io

import numpy as np
from PIL import Image

from attgan.evaluation.figures import before_after_grid, faces_grid, scaled

BLACK = np.zeros((218, 178, 3), dtype=np.uint8)
WHITE = np.full((300, 300, 3), 255, dtype=np.uint8)


def test_pairs_of_any_size_stand_side_by_side() -> None:
    sheet = Image.open(
        io.BytesIO(before_after_grid([(BLACK, WHITE)] * 5, ["a" * 200] * 5, columns=3, height=100))
    )
    assert sheet.format == "JPEG"
    pixels = np.asarray(sheet.convert("L")).astype(int)
    assert (pixels < 20).sum() > 5 * 75 * 100
    assert pixels.shape[0] > 2 * 100
    assert pixels.shape[1] > 3 * (82 + 100)


def test_one_pair_makes_a_small_sheet() -> None:
    one = Image.open(io.BytesIO(before_after_grid([(BLACK, BLACK)])))
    assert one.width < 2 * 178 + 40


def test_what_a_caller_has_scaled_gives_the_same_grid() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    small = scaled(noise, 100)
    assert small.shape == (100, 75, 3)
    assert small.dtype == np.uint8
    assert before_after_grid([(small, small)], height=100) == before_after_grid([(noise, noise)], height=100)


def test_a_sliver_keeps_a_pixel_of_width() -> None:
    assert scaled(np.zeros((5000, 1, 3), dtype=np.uint8), 100).shape == (100, 1, 3)


def test_faces_stand_in_rows_and_what_became_of_them_in_columns() -> None:
    shades = [(f"shade {i}", np.full((2, 32, 32, 3), 60 * i, dtype=np.uint8)) for i in range(4)]
    picture = np.asarray(Image.open(io.BytesIO(faces_grid(shades, side=64))).convert("L")).astype(int)
    assert picture.shape == (22 + 2 * 70 + 6, 4 * 70 + 6)
    for i in range(4):
        for j in range(2):
            assert abs(picture[22 + j * 70 + 32, 6 + i * 70 + 32] - 60 * i) < 4
