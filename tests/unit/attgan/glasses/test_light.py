"""The light of a picture is measured around the eyes."""

import numpy as np

from attgan.glasses import read_light
from attgan.glasses.head import turned_landmarks
from attgan.glasses.page import mannequin

SIDE = 128


def test_direction_and_level_of_light_are_measured():
    points = turned_landmarks(0, 0, 0, 36.0, (64.0, 58.0))
    face = mannequin(points, SIDE).astype(float)
    shaded = face * np.linspace(0.4, 1.0, SIDE)[None, :, None]
    assert read_light(shaded.astype(np.uint8), points).right > 0.2
    assert read_light(shaded[:, ::-1].astype(np.uint8), points).right < -0.2
    assert (
        read_light((0.4 * face).astype(np.uint8), points).level
        < read_light(face.astype(np.uint8), points).level
    )
