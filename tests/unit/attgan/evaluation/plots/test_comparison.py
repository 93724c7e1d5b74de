"""The courses of several runs: each has a look of its own, and one that runs away does not flatten the others."""

import io
from typing import Any

import numpy as np
from PIL import Image

from attgan.evaluation.plots.comparison import comparison_curves
from attgan.evaluation.plots.legend import styles_of


def course(level: float, *, exploding: bool = False) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(1, 121):
        value = level + 0.01 * (step % 3) + (10.0 ** (step / 20) if exploding and step > 80 else 0)
        network = "generator" if step % 2 else "discriminator"
        numbers = ("total", "reconstruction", "attributes", "critic")
        rows.append({"kind": "step", "step": step, "network": network, **dict.fromkeys(numbers, value)})
        if step % 40 == 0:
            rows.append({"kind": "check", "step": step, "quality": level / 20, "ssim": None})
    return rows


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def of_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture - colour).sum(axis=2) < 30


def test_every_run_is_drawn_in_every_panel_and_named_once() -> None:
    runs = {f"{number:03d} λ1 {number}": course(number + 1) for number in range(6)}
    picture = pixels(comparison_curves(runs))
    legend = picture[: picture.shape[0] - 4 * 225]
    first_panel = picture[len(legend) : len(legend) + 225, :420]
    for style in styles_of(runs).values():
        assert of_colour(legend, style.colour).sum() > 20
        assert of_colour(first_panel, style.colour).sum() > 300
    dozen = {f"{number:03d} λ1 {number}": course(number + 1) for number in range(12)}
    assert pixels(comparison_curves(dozen)).shape[0] > picture.shape[0], "a longer legend"


def test_one_that_explodes_is_cut_off_and_the_others_are_not_flattened() -> None:
    calm = {f"{number}": course(number + 1) for number in range(3)}
    wild = pixels(comparison_curves(calm | {"wild": course(1.0, exploding=True)}))
    blue, green = (styles_of(calm)[name].colour for name in ("0", "2"))
    top = wild.shape[0] - 4 * 225
    panel = wild[top + 30 : top + 199, 58:408]
    distance = np.nonzero(of_colour(panel, blue))[0].mean() - np.nonzero(of_colour(panel, green))[0].mean()
    assert distance > 15, "levels 1 and 3 can be told apart beside one of a million"


def test_eighteen_names_have_eighteen_looks() -> None:
    names = [str(number) for number in range(18)]
    assert len(set(styles_of(names).values())) == 18
    assert styles_of([*names[:3], "0"]) == styles_of(names[:3])


def test_no_runs_and_runs_without_rows_make_a_picture() -> None:
    for runs in ({}, {"none": []}):
        assert pixels(comparison_curves(runs)).shape[1] == 840
