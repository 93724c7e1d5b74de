"""Pose, colour and tone of a face, against geometry and formulas."""

import math

import numpy as np
import pytest

from attgan.evaluation.face_traits import NOSE, lab, tone_of, typology_angle, yaw_of

HEAD = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.57, NOSE], [-0.4, 1.05, 0], [0.4, 1.05, 0]])


@pytest.mark.parametrize("yaw", [-50, 35])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (-10, 30)])
def test_the_yaw_of_a_turned_head_is_found_whatever_its_pitch_and_roll(
    yaw: float, pitch: float, roll: float
) -> None:
    cy, sy, cp, sp, cr, sr = (f(math.radians(a)) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    turned = HEAD @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]).T
    nodded = turned @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]).T
    rolled = nodded[:, :2] @ np.array([[cr, -sr], [sr, cr]]).T
    assert yaw_of(80 * rolled + [200, 150]) == pytest.approx(yaw, abs=1e-6)


def test_lab_is_that_of_known_colours() -> None:
    # sRGB's primaries, white, black and middle grey, from the standard's formulas.
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [119, 119, 119]], np.uint8
    )
    known = [
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
        [100, 0, 0],
        [0, 0, 0],
        [50.03, 0, 0],
    ]
    np.testing.assert_allclose(lab(colours), known, atol=0.02)


@pytest.mark.parametrize(
    ("skin", "tone"),
    [
        ((240, 205, 190), "light"),
        ((195, 148, 118), "intermediate"),
        ((180, 130, 95), "tan"),
        ((95, 60, 45), "dark"),
    ],
)
def test_tones_follow_the_typology_angle_of_the_cheeks(skin: tuple[int, int, int], tone: str) -> None:
    face = np.full((128, 128, 3), 255, np.uint8)
    face[70:100] = skin
    lightness, _, yellow = lab(np.array([skin], np.uint8))[0]
    assert typology_angle(face) == pytest.approx(math.degrees(math.atan((lightness - 50) / yellow)))
    assert tone_of(face) == tone
