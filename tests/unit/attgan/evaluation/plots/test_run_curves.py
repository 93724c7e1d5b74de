"""The curves of several runs: each is drawn in every panel, under the same look."""

import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageColor import getrgb

from attgan.evaluation.plots.curves import styles_of
from attgan.evaluation.plots.run_curves import comparison_curves


def metrics(level: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(1, 121):
        network = "generator" if step % 2 else "discriminator"
        losses = dict.fromkeys(("total", "reconstruction", "attributes", "critic"), level + 0.01 * (step % 3))
        rows.append({"kind": "step", "step": step, "network": network, **losses})
        if step % 40 == 0:
            rows.append({"kind": "check", "step": step, "quality": level / 20, "ssim": None})
    return rows


def test_every_run_is_drawn_in_every_panel_and_named_once() -> None:
    runs = {f"{number:03d} λ1 {number}": metrics(number + 1) for number in range(6)}
    picture = np.asarray(Image.open(io.BytesIO(comparison_curves(runs))).convert("RGB")).astype(int)
    rows = 4 * 250
    legend, panels = picture[:-rows], picture[-rows:]
    for style in styles_of(runs).values():
        shown = [np.abs(part - getrgb(style["color"])).sum(axis=2) < 30 for part in (legend, panels)]
        assert shown[0].sum() > 20
        # The first two rows of panels, and the one beside the critic, have numbers.
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)):
            panel = shown[1][row * 250 : (row + 1) * 250, column * 500 : (column + 1) * 500]
            assert panel.sum() > 300, (row, column)


def test_no_runs_and_runs_without_rows_make_a_picture() -> None:
    for runs in ({}, {"none": []}):
        assert Image.open(io.BytesIO(comparison_curves(runs))).width == 1000
