"""The curves picture shows what it is given, and a long noisy curve by its means."""

import io
import math
import subprocess
import sys

from PIL import Image

from attgan.evaluation.plots.curves import Panel, draw_curves


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
