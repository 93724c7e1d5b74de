"""Rendered glasses: on both eyes, in every pose, with the light and colours of the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attgan.glasses import STYLES, compose, put_on, read_light, render, sample_glasses
from attgan.glasses.head import find_pose, turned_landmarks

SIDE = 128
CLEAR = [name for name in STYLES if name != "Sunglasses"]


def landmarks(yaw=0.0, pitch=0.0, roll=0.0, unit=36.0, middle=(64.0, 58.0)):
    return turned_landmarks(*np.radians([yaw, pitch, roll]), unit, middle)


def skin(side=SIDE, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal([200, 150, 125], 4, (side, side, 3)), 0, 255).astype(np.uint8)


def whole_transmittance(layers, size=SIDE):
    """Transmittance of the whole picture."""
    whole = np.ones((size, size, 3), np.float32)
    height, width = layers.transmittance.shape[:2]
    whole[layers.top : layers.top + height, layers.left : layers.left + width] = layers.transmittance
    return whole


@settings(max_examples=50, deadline=None)
@given(
    style=st.sampled_from(STYLES),
    yaw=st.floats(-45, 45),
    pitch=st.floats(-20, 20),
    roll=st.floats(-45, 45),
    unit=st.floats(14, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_style_covers_both_eyes_in_every_pose(style, yaw, pitch, roll, unit, seed):
    points = landmarks(yaw, pitch, roll, unit)
    face, rng = skin(), np.random.default_rng(seed)
    worn = put_on(face, points, sample_glasses(rng, {style}), rng)
    assert worn.shape == face.shape
    assert worn.dtype == np.uint8
    changed = (worn != face).any(-1)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    for x, y in points[:2]:
        assert changed[np.hypot(columns - x, rows - y) < 0.6 * unit].sum() > unit / 4
    # Nothing changes far from the eyes, for example at the mouth.
    mouth = points[3:].mean(0)
    assert not changed[np.hypot(columns - mouth[0], rows - mouth[1]) < 0.08 * unit].any()


@pytest.mark.parametrize("bad", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_eyes_in_one_point_or_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="eyes"):
        render(bad, (64, 64), sample_glasses(np.random.default_rng(0)), np.random.default_rng(0))


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_pixels_outside_the_layers_stay_equal_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    points, face = landmarks(yaw=5 * seed - 20, roll=3 * seed), skin(seed=seed)
    layers = render(points, (SIDE, SIDE), sample_glasses(rng), rng, read_light(face, points))
    worn = compose(face, layers)
    touched = np.zeros((SIDE, SIDE), bool)
    height, width = layers.added.shape[:2]
    touched[layers.top : layers.top + height, layers.left : layers.left + width] = (
        (layers.transmittance < 1).any(-1) | (layers.added != 0).any(-1) | (layers.offset != 0).any(-1)
    )
    assert np.array_equal(worn[~touched], face[~touched])
    assert 0.02 < touched.mean() < 0.5
    assert (worn[touched] != face[touched]).any()


@pytest.mark.parametrize("style", ["Metal", "Sunglasses"])
def test_grey_face_gets_grey_glasses(style):
    face = np.repeat(skin()[..., :1], 3, -1)
    rng = np.random.default_rng(2)
    worn = put_on(face, landmarks(yaw=15), sample_glasses(rng, {style}), rng)
    assert (worn == worn[..., :1]).all()
    assert (worn != face).any()


@pytest.mark.parametrize("style", CLEAR)
@pytest.mark.parametrize("yaw", [0, 30])
def test_eyes_are_visible_through_clear_lenses(style, yaw):
    rng = np.random.default_rng(5)
    points = landmarks(yaw)
    for _ in range(2):
        pair = sample_glasses(rng, {style})
        if pair.sunglasses:
            continue
        layers = render(points, (SIDE, SIDE), pair, rng)
        through = whole_transmittance(layers)
        for x, y in points[:2]:
            eye = through[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
            assert eye.min() > 0.6
            rows, columns = int(y) - layers.top, int(x) - layers.left
            assert np.abs(layers.offset[rows, columns]).max() < 0.05


@pytest.mark.parametrize("yaw", [-35, 35])
def test_far_lens_is_narrower(yaw):
    points = landmarks(yaw)
    rng = np.random.default_rng(7)
    dark = whole_transmittance(
        render(points, (SIDE, SIDE), sample_glasses(rng, {"Sunglasses", "Wayfarer"}), rng)
    )
    covered = dark[..., 1] < 0.5
    # The front is in front of the eyes.
    bridge = int(find_pose(points).project([0, 0, 0.23])[0])
    row = covered[int(points[0, 1]) + 4]
    left, right = row[:bridge].sum(), row[bridge:].sum()
    assert (left < 0.9 * right) if yaw < 0 else (right < 0.9 * left)
