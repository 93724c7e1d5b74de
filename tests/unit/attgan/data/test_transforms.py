"""Faces come out of an aligned image and go back into it, and nothing else changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

from attgan.data.transforms import Box, face_box, resize, take_face

RANDOM = np.random.default_rng(0)


def test_celebas_geometry() -> None:
    assert face_box(178, 218) == Box(left=4, top=24, side=170)
    assert face_box(356, 436) == Box(left=8, top=48, side=340)


def test_a_square_is_a_face_already() -> None:
    assert face_box(300, 300) == Box(0, 0, 300)


@pytest.mark.parametrize("size", [(640, 480), (218, 178), (178, 219)])
def test_other_proportions_are_not_aligned(size: tuple[int, int]) -> None:
    assert face_box(*size) is None


@given(st.integers(1, 40))
def test_the_box_lies_inside(scale: int) -> None:
    box = face_box(89 * scale, 109 * scale)
    assert box is not None
    assert box.left >= 0
    assert box.left + box.side <= 89 * scale
    assert box.top + box.side <= 109 * scale


def test_shrinking_is_close_to_pillows_antialiased_bilinear() -> None:
    smooth = np.asarray(
        Image.fromarray(RANDOM.integers(0, 255, (20, 20, 3), dtype=np.uint8)).resize((170, 170))
    )
    ours = resize(smooth, 128, "bilinear").astype(int)
    pillows = np.asarray(Image.fromarray(smooth).resize((128, 128), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - pillows).max() <= 2


def test_a_face_of_the_models_size_is_taken_as_it_is() -> None:
    image = RANDOM.integers(0, 255, (128, 128, 3), dtype=np.uint8)
    np.testing.assert_array_equal(take_face(image, Box(0, 0, 128), 128), image)


@given(side=st.integers(3, 80), size=st.integers(3, 80), mode=st.sampled_from(["bilinear", "bicubic"]))
def test_the_short_way_through_torch_gives_the_bits_of_the_plain_one(side: int, size: int, mode: str) -> None:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
    plain = interpolate(planes, size=(size, size), mode=mode, antialias=True)[0].permute(1, 2, 0)
    assert np.array_equal(resize(pixels, size, mode), plain.numpy() if side != size else pixels)
