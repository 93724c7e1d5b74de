"""A photograph without colour is recognised, however it is stored, and its edit has no colour."""

import io

import numpy as np
import pytest
from PIL import Image

from attgan.drawn_faces import draw, sample_face
from attgan.editing.grey import is_grey
from attgan.editing.placement import aligned_placement, put_change, put_whole
from attgan.editing.thresholded import thresholded_change
from tests.support.images.scenes import photograph, placement

COLOURED = draw(sample_face(3, glasses_share=0.0))
GREY = np.repeat(np.array(Image.fromarray(COLOURED).convert("L"))[..., None], 3, axis=2)


def through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def test_grey_photograph_is_grey_as_png_and_as_jpeg() -> None:
    assert is_grey(GREY)
    assert is_grey(through_jpeg(GREY, 40))
    rounded = GREY + np.random.default_rng(1).integers(0, 4, GREY.shape, dtype=np.uint8) * (GREY < 250)
    assert is_grey(rounded)


@pytest.mark.parametrize("quality", [30, 95])
def test_coloured_photograph_is_not_grey(quality: int) -> None:
    assert not is_grey(through_jpeg(COLOURED, quality))
    assert not is_grey(photograph(900, 700, {3: placement(100, 100)}))
    pale = (GREY * 0.9 + COLOURED * 0.1).round().astype(np.uint8)
    assert not is_grey(np.where(np.arange(178)[None, :, None] < 90, COLOURED, pale))


@pytest.mark.parametrize("paste", ["difference", "whole"])
def test_edit_of_a_grey_photograph_is_grey(paste: str) -> None:
    place = aligned_placement(178, 218)
    assert place is not None
    edited = np.full((64, 64, 3), 128, np.uint8)
    edited[20:40, 15:50] = (180, 60, 30)
    plain = np.full((64, 64, 3), 128, np.uint8)
    coloured, grey = GREY.copy(), GREY.copy()
    for pixels, is_grey_photograph in ((coloured, False), (grey, True)):
        if paste == "difference":
            put_change(pixels, place, thresholded_change(edited, plain), grey=is_grey_photograph)
        else:
            put_whole(pixels, place, edited, grey=is_grey_photograph)
    assert (grey != GREY).any()
    assert (grey == grey[..., :1]).all()
    assert (coloured != coloured[..., :1]).any()
