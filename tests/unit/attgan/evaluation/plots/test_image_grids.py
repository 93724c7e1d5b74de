"""The before/after grid shows every pair, whatever their sizes."""

import io

import numpy as np
from PIL import Image

from attgan.evaluation.plots.image_grids import before_after_grid, trials_grid

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


def shade(grey: int, faces: int = 3) -> np.ndarray:
    return np.full((faces, 32, 32, 3), grey, dtype=np.uint8)


def greys(data: bytes, *, rows: list[int], columns: int) -> np.ndarray:
    """What stands at each place of a grid of 64 px faces, ``(rows, columns)``."""
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    return np.array([[picture[row, 6 + i * 70 + 32] for i in range(columns)] for row in rows])


def test_every_trial_stands_beside_the_originals_and_those_that_do_not_fit_below_them() -> None:
    trials = [(f"{number:03d}", shade(40 * number + 40)) for number in range(5)]
    data = trials_grid(shade(10), trials, side=64, most_columns=4, most_rows=2)
    height = 22 + 2 * 70 + 6
    assert Image.open(io.BytesIO(data)).size == (4 * 70 + 6, 2 * height)
    seen = greys(data, rows=[22 + 32, 22 + 70 + 32, height + 22 + 32], columns=4)
    expected = [[10, 40, 80, 120], [10, 40, 80, 120], [10, 160, 200, 250]]
    assert np.abs(seen - expected).max() < 5, "the last place of the second row is paper"
