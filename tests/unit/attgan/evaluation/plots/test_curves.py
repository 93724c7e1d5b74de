"""The curves picture shows what it is given, and a long noisy curve by its course."""

import io
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attgan.evaluation.plots.curves import Panel, draw_curves, thinned, ticks

BLUE = (0, 114, 178)


def pixels(panels: list[Panel]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_curves(panels))).convert("RGB")).astype(int)


def coloured(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture - BLUE).sum(axis=2) < 30


def test_a_rising_curve_rises_in_the_picture() -> None:
    drawn = coloured(pixels([Panel("up", {"y": [(x, x * x) for x in range(50)]})]))
    drawn[:44] = False  # the curve's name has its colour too
    rows, columns = np.nonzero(drawn)
    assert columns.max() - columns.min() > 300
    assert rows[columns < columns.min() + 20].mean() > rows[columns > columns.max() - 20].mean() + 80


def test_long_names_of_curves_stay_inside_their_panel() -> None:
    names = ("penalty", "attributes (real)", "attributes (edited)", "reconstruction", "one name more here")
    picture = pixels([Panel("terms", {name: [(0, 1.0), (1, 2.0)] for name in names})])
    legend = np.abs(picture[24:43] - 255).sum(axis=2) > 60
    assert legend[:, 58:].any()
    assert not legend[:, 409:].any()


def test_panels_stand_side_by_side_and_an_empty_or_constant_one_is_drawn() -> None:
    panels = [
        Panel("none", {}),
        Panel("one point", {"y": [(3, 7.0)]}),
        Panel("constant", {"y": [(0, 0.0), (9, 0.0)]}),
        Panel("not finite", {"y": [(0, math.nan), (1, math.inf)]}),
    ]
    height, width, _ = pixels(panels).shape
    assert (height, width) == (2 * 240, 2 * 420)


def test_a_long_curve_is_thinned_to_means() -> None:
    noisy = [(x, x + (100.0 if x % 2 else -100.0)) for x in range(10_000)]
    few = thinned(noisy, bins=100)
    assert len(few) == 100
    assert all(abs(y - x) < 3 for x, y in few)


def test_points_that_are_not_finite_are_left_out() -> None:
    assert thinned([(0, 1.0), (1, math.nan), (2, math.inf), (3, 4.0)]) == [(0, 1.0), (3, 4.0)]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_evenly_spaced_and_inside(low: float, span: float) -> None:
    high = low + span
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - span * 1e-6 <= tick <= high + span * 1e-6 for tick in found)
    gaps = np.diff(found)
    assert np.allclose(gaps, gaps[:1])
