"""The before/after grid shows every pair, whatever their sizes."""

import io

import numpy as np
import pytest
from PIL import Image

from attgan.evaluation.plots.image_grids import before_after_grid, faces_grid, scaled, trials_grid

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


def test_trials_may_have_another_size_and_there_may_be_none() -> None:
    larger = np.full((3, 96, 96, 3), 200, dtype=np.uint8)
    seen = greys(trials_grid(shade(10), [("one", larger)], side=64), rows=[22 + 32], columns=2)
    assert np.abs(seen - [[10, 200]]).max() < 5
    assert Image.open(io.BytesIO(trials_grid(shade(10), [], side=64))).size == (76, 22 + 3 * 70 + 6)


WORDS = "012 λ1 100, FreezeD 4, strategy alternate, subset extended, and so on, and so on, without an end"


@pytest.mark.parametrize("caption", [WORDS, WORDS.replace(" ", "_"), "W" * 200])
def test_a_long_caption_takes_more_lines_and_stays_above_its_column(caption: str) -> None:
    picture = np.asarray(Image.open(io.BytesIO(trials_grid(shade(250), [(caption, shade(250))], side=64))))
    header = picture.shape[0] - 3 * 70 - 6
    assert header == 22 + 3 * 15
    dark = picture[:header].min(axis=2) < 128
    assert dark[:15, 76:].any(), "the first of four lines"
    assert dark[-20:, 76:].any(), "the last one"
    assert not dark[:, 140:].any()
    assert not dark[: header - 20, :70].any(), "the short caption stands right above its column"


def test_a_pairs_caption_keeps_its_end() -> None:
    def caption(path: str) -> np.ndarray:
        sheet = Image.open(io.BytesIO(before_after_grid([(BLACK, BLACK)], [path], height=100)))
        return np.asarray(sheet.convert("L"))[:20]

    folder = "folder/" * 20
    assert np.array_equal(caption(f"{folder}one.jpg"), caption(f"another/{folder}one.jpg"))
    assert not np.array_equal(caption(f"{folder}one.jpg"), caption(f"{folder}two.jpg"))


def test_captions_have_letters_for_what_settings_are_called() -> None:
    def drawn(caption: str) -> bytes:
        return faces_grid([(caption, shade(250))])

    missing = drawn("\ue000")
    assert all(drawn(letter) != missing for letter in "λ×–→≥…")
