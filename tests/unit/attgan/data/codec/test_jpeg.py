"""A JPEG comes back coded as it was: with its own tables, sampling and scans, and so with nearly its own size."""

import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from attgan.data.codec import decode, encode
from attgan.drawn_faces import draw, sample_face
from tests.support.images.pictures import noise, saved

FACE = Image.fromarray(draw(sample_face(3)))


def table(step: int, least: int = 3) -> list[int]:
    """A quantisation table that no quality of libjpeg's gives."""
    return [least + step * (row + column) for row in range(8) for column in range(8)]


CODINGS: dict[str, dict[str, object]] = {
    "usual": {"quality": 75},
    "usual, 4:2:2": {"quality": 90, "subsampling": 1},
    "usual, 4:4:4": {"quality": 97, "subsampling": 0},
    "own tables": {"qtables": [table(2), table(3)], "subsampling": 1},
    "one table": {"qtables": [table(2)], "subsampling": 2},
    "three tables": {"qtables": [table(1), table(2), table(3)], "subsampling": 0},
    "first and last alike": {"qtables": [table(1), table(2), table(1)], "subsampling": 0},
    "wide tables": {"qtables": [table(30), table(40)], "subsampling": 2},
    "progressive": {"quality": 80, "progressive": True},
    "progressive, own tables": {"qtables": [table(2), table(3)], "progressive": True, "subsampling": 0},
    "optimised": {"quality": 80, "optimize": True},
    "restarts": {"quality": 80, "restart_marker_blocks": 5},
    "red, green, blue": {"quality": 90, "keep_rgb": True, "subsampling": 0},
}


def by_component(data: bytes) -> list[list[int]]:
    """The quantisation tables as Pillow reads them, one for each component."""
    with Image.open(io.BytesIO(data)) as picture:
        assert isinstance(picture, JpegImagePlugin.JpegImageFile)
        return [picture.quantization[number] for *_, number in picture.layer]


def properties(data: bytes) -> tuple[object, ...]:
    with Image.open(io.BytesIO(data)) as picture:
        progressive = picture.info.get("progressive", 0)
        return (
            picture.mode,
            JpegImagePlugin.get_sampling(picture),
            progressive,
            data.count(b"\xff\xdd\x00\x04"),
        )


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", CODINGS)
def test_a_jpeg_is_coded_as_it_was(name: str, mode: str) -> None:
    if mode == "L" and "keep_rgb" in CODINGS[name]:
        pytest.skip("grey is neither")
    data = saved(FACE.convert(mode), "JPEG", **CODINGS[name])
    decoded = decode(data)
    assert decoded.notes == ()
    written = encode(decoded)
    assert by_component(written) == by_component(data)
    assert properties(written) == properties(data)
    assert len(written) == pytest.approx(len(data), rel=0.02)
    # No further away than by another encoder with the same settings.
    again = np.asarray(Image.open(io.BytesIO(written)).convert("RGB"))
    others = saved(Image.fromarray(decoded.pixels).convert(mode), "JPEG", **CODINGS[name])
    assert np.array_equal(again, np.asarray(Image.open(io.BytesIO(others)).convert("RGB")))


def test_a_quality_that_is_asked_for_replaces_the_tables_and_nothing_else() -> None:
    decoded = decode(saved(FACE, "JPEG", qtables=[table(2), table(3)], subsampling=1))
    written = encode(decoded, quality=60)
    assert by_component(written) == by_component(saved(FACE, "JPEG", quality=60))
    assert properties(written)[1] == 1


@pytest.mark.parametrize("own", [False, True], ids=["usual tables", "own tables"])
@pytest.mark.parametrize("factors", [(0x12, "440"), (0x41, "411"), (0x31, "")], ids=["440", "411", "311"])
def test_a_sampling_that_cannot_be_written_is_noted(factors: tuple[int, str], own: bool) -> None:
    sampling, name = factors
    # The sampling is written into a file of another: its few blocks of one colour are enough for either.
    options: dict[str, object] = {"qtables": [table(2), table(3)]} if own else {"quality": 75}
    data = bytearray(saved(Image.new("RGB", (32, 16), (90, 120, 60)), "JPEG", subsampling=2, **options))
    frame = data.index(b"\xff\xc0")
    data[frame + 11] = sampling
    decoded = decode(bytes(data))
    kept = bool(name) and not own
    assert decoded.notes == (() if kept else ("sampling changed",))
    written = encode(decoded)
    assert by_component(written) == by_component(bytes(data))
    first = written.index(b"\xff\xc0") + 11
    assert written[first] == (sampling if kept else 0x11)
    assert np.abs(decode(written).pixels.astype(int) - decoded.pixels).mean() < 3


@pytest.mark.parametrize("options", [{"optimize": True}, {"progressive": True}], ids=str)
def test_noise_of_the_best_quality_fits_into_the_encoders_buffer(options: dict[str, object]) -> None:
    data = saved(noise(1, 500, 400), "JPEG", quality=100, subsampling=0, **options)
    assert len(encode(decode(data))) == pytest.approx(len(data), rel=0.1)
