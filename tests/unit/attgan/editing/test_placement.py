"""A face is cut out of a photograph aligned, and only its change is put back, at its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attgan.data import transforms
from attgan.data.transforms import CELEBA_SIZE
from attgan.detection import Face
from attgan.detection.similarity import Matrix, apply
from attgan.drawn_faces import draw, sample_face
from attgan.editing.placement import (
    TEMPLATE,
    Placement,
    aligned_placement,
    placement_of,
    put_change,
    put_whole,
    take_face,
)
from attgan.editing.thresholded import thresholded_change
from tests.support.images.scenes import photograph, placement

SIZE = 128
PICTURE = draw(sample_face(3, glasses_share=0.0))
ALIGNED = transforms.take_face(PICTURE, transforms.Box(4, 24, 170), SIZE)


def face_at(matrix: Matrix) -> Face:
    """A face whose landmarks are CelebA's, brought to a photograph by ``matrix``."""
    landmarks = apply(matrix, TEMPLATE)
    return Face((*landmarks.min(0), *landmarks.max(0)), landmarks.astype(np.float32), 1.0)


def glasses(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """An edited face and the same without the edit, which differ where glasses are."""
    unedited = np.random.default_rng(0).integers(60, 200, (size, size, 3), dtype=np.uint8)
    edited = unedited.copy()
    edited[round(size * 0.42) : round(size * 0.6), round(size * 0.2) : round(size * 0.8)] = 10
    return edited, unedited


def put_difference(pixels: np.ndarray, place: Placement, edited: np.ndarray, unedited: np.ndarray) -> None:
    put_change(pixels, place, thresholded_change(edited, unedited))


def corners(place: Placement) -> tuple[np.ndarray, np.ndarray]:
    """Whole pixels that hold the square: left and top, right and bottom."""
    square = apply(place.matrix, [[0, 0], [1, 0], [0, 1], [1, 1]])
    return np.floor(square.min(0)).astype(int), np.ceil(square.max(0)).astype(int)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@given(
    st.floats(-400, 3000),
    st.floats(-400, 3000),
    st.floats(0.2, 12),
    st.floats(-180, 180),
    st.integers(8, 512),
)
def test_square_of_a_face_is_celebas(
    left: float, top: float, scale: float, degrees: float, size: int
) -> None:
    matrix = placement(left, top, scale, degrees)
    corners = apply(matrix, [[4, 24], [174, 24], [4, 194], [174, 194]])
    square = [[0, 0], [size, 0], [0, size], [size, size]]
    np.testing.assert_allclose(
        apply(placement_of(face_at(matrix)).pixels(size), square), corners, atol=0.01 * scale
    )


@pytest.mark.parametrize("scale", [1, 3])
def test_aligned_image_is_cropped_and_pasted_as_in_training(scale: int) -> None:
    width, height = scale * CELEBA_SIZE[0], scale * CELEBA_SIZE[1]
    pixels = np.random.default_rng(scale).integers(0, 255, (height, width, 3), dtype=np.uint8)
    place, box = aligned_placement(width, height), transforms.face_box(width, height)
    assert place is not None
    assert box is not None
    np.testing.assert_array_equal(take_face(pixels, place, SIZE), transforms.take_face(pixels, box, SIZE))
    ours = pixels.copy()
    put_whole(ours, place, ALIGNED)
    expected = pixels.copy()
    square = np.s_[box.top : box.top + box.side, box.left : box.left + box.side]
    expected[square] = transforms.resize(ALIGNED, box.side, "bicubic")
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("degrees", [0, 30, -75, 180])
@pytest.mark.parametrize("scale", [0.7, 1, 2.3, 9])
def test_face_is_cut_out_as_in_the_aligned_image(scale: float, degrees: float) -> None:
    matrix = placement(200, 150, scale, degrees)
    side = round(400 + 230 * scale)
    face = take_face(photograph(side, side, {3: matrix}), placement_of(face_at(matrix)), SIZE)
    assert face.shape == (SIZE, SIZE, 3)
    assert difference(face, ALIGNED) < 3


@pytest.mark.parametrize(("left", "top"), [(-60, 20), (250, 60), (-2000, 50)])
def test_outermost_pixels_are_repeated_beyond_a_photograph(left: float, top: float) -> None:
    pixels = photograph(300, 320, {3: placement(left, top, 1, 10)})
    padded = np.pad(pixels, ((400, 400), (400, 400), (0, 0)), mode="edge")
    place = placement_of(face_at(placement(left, top, 1, 10)))
    further = placement_of(face_at(placement(left + 400, top + 400, 1, 10)))
    if max(abs(left), abs(top)) < 400:
        assert difference(take_face(pixels, place, SIZE), take_face(padded, further, SIZE)) < 3
    before = pixels.copy()
    put_difference(pixels, place, *glasses())
    put_whole(pixels, place, ALIGNED)
    assert pixels.shape == before.shape


@settings(max_examples=25, deadline=None)
@given(st.floats(-60, 260), st.floats(-60, 260), st.floats(0.3, 3), st.floats(-180, 180))
def test_only_the_glasses_change(left: float, top: float, scale: float, degrees: float) -> None:
    pixels = np.full((500, 520, 3), 128, np.uint8)
    matrix = placement(left, top, scale, degrees)
    place = placement_of(face_at(matrix))
    before = pixels.copy()
    put_difference(pixels, place, *glasses())
    rows, columns = np.nonzero((pixels != before).any(axis=2))
    back = np.linalg.inv(np.vstack([place.matrix, [0, 0, 1]]))[:2]
    # In shares of the square.
    where = apply(back, np.stack([columns + 0.5, rows + 0.5], axis=1))
    margin = 0.12 + 2 / (170 * scale)
    assert (where > (0.2 - margin, 0.42 - margin)).all()
    assert (where < (0.8 + margin, 0.6 + margin)).all()


def test_change_keeps_its_strength_when_turned_and_enlarged() -> None:
    matrix = placement(150, 140, 2.5, 30)
    place = placement_of(face_at(matrix))
    unedited = np.full((SIZE, SIZE, 3), 90, np.uint8)
    edited = unedited.copy()
    edited[50:76, 30:98] = (140, 40, 90)
    pixels = np.full((900, 900, 3), 100, np.uint8)
    put_difference(pixels, place, edited, unedited)
    x, y = np.rint(apply(place.pixels(SIZE), [[64, 63]])[0] - 0.5).astype(int)
    # 50 of 165 to white, 50 of 90 to black, no change; a little less, because noise in the dark is damped.
    assert np.abs(pixels[y, x].astype(int) - (100 + 155 * 50 / 165, 100 - 100 * 50 / 90, 100)).max() <= 6
