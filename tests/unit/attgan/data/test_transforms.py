"""Faces come out of an aligned image and go back into it, and nothing else changes."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

from attgan.data.transforms import Box, face_box, resize

RANDOM = np.random.default_rng(0)


def test_celebas_geometry() -> None:
    assert face_box(178, 218) == Box(left=4, top=24, side=170)
    assert face_box(356, 436) == Box(left=8, top=48, side=340)
    assert face_box(300, 300) == Box(0, 0, 300)
    assert face_box(178, 219) is None


def test_shrinking_is_close_to_pillows_antialiased_bilinear() -> None:
    smooth = np.asarray(
        Image.fromarray(RANDOM.integers(0, 255, (20, 20, 3), dtype=np.uint8)).resize((170, 170))
    )
    ours = resize(smooth, 128, "bilinear").astype(int)
    pillows = np.asarray(Image.fromarray(smooth).resize((128, 128), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - pillows).max() <= 2


@given(side=st.integers(3, 80), size=st.integers(3, 80), mode=st.sampled_from(["bilinear", "bicubic"]))
def test_the_short_way_through_torch_gives_the_bits_of_the_plain_one(side: int, size: int, mode: str) -> None:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
    plain = interpolate(planes, size=(size, size), mode=mode, antialias=True)[0].permute(1, 2, 0)
    assert np.array_equal(resize(pixels, size, mode), plain.numpy() if side != size else pixels)
