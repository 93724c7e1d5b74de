"""The curves picture shows what it is given, and a long noisy curve by its means."""

import io
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from attgan.evaluation.plots.curves import Panel, draw_curves, thinned

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def places(data: bytes, *colours: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels that have one of the colours, below the legend's one line."""
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    found = np.stack([np.abs(picture - colour).sum(axis=2) < 30 for colour in colours]).any(axis=0)
    rows, columns = np.nonzero(found)
    return rows[rows > 55], columns[rows > 55]


def test_a_rising_curve_rises_in_the_picture() -> None:
    rows, columns = places(draw_curves([Panel("up", {"y": [(x, x * x) for x in range(50)]})]), BLUE)
    assert columns.max() - columns.min() > 300
    assert rows[columns < columns.min() + 20].mean() > rows[columns > columns.max() - 20].mean() + 80


@pytest.mark.parametrize("cut", [True, False])
def test_values_that_explode_are_cut_off_where_asked(cut: bool) -> None:
    levels = {"one": [(x, 1.0) for x in range(100)], "three": [(x, 3.0) for x in range(100)]}
    wild = {"wild": [(x, 1e6 if x > 90 else 2.0) for x in range(100)]}
    picture = draw_curves([Panel("loss", levels | wild, cut)])
    rows, _ = places(picture, BLUE, ORANGE)
    assert (np.ptp(rows) > 50) == cut


def test_empty_constant_and_infinite_panels_are_drawn() -> None:
    panels = [
        Panel("none", {}),
        Panel("one point", {"y": [(3, 7.0)]}),
        Panel("constant", {"y": [(0, 0.0), (9, 0.0)]}),
        Panel("not finite", {"y": [(0, math.nan), (1, math.inf)]}),
        Panel("all alike but one", {"y": [(x, 5.0 if x else 1e30) for x in range(9)]}, cut=True),
        Panel("$1^2_3$", {"_ $x$ λ": [(0, 1e-300), (1, 1e300)]}),
    ]
    width, height = Image.open(io.BytesIO(draw_curves(panels))).size
    assert width == 1000
    assert height > 3 * 240


def test_the_same_panels_give_the_same_bytes_in_every_process() -> None:
    panels = [Panel("λ", {f"{i}": [(x, math.sin(x / 9 + i)) for x in range(500)] for i in range(3)})]
    code = f"import sys; from attgan.evaluation.plots.curves import *; sys.stdout.buffer.write(draw_curves({panels!r}))"
    drawn = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    assert drawn == draw_curves(panels)


def test_a_long_curve_is_thinned_to_means() -> None:
    noisy = [(x, x + (100.0 if x % 2 else -100.0)) for x in range(10_000)]
    few = thinned(noisy, 100)
    assert len(few) == 100
    assert np.abs(few[:, 1] - few[:, 0]).max() < 3
    gap = [(0.0, 1.0), (1.0, 3.0), (100.0, 7.0)]
    assert thinned(gap, 2).tolist() == [[0.5, 2.0], [100.0, 7.0]]
