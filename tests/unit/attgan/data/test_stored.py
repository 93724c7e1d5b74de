import numpy as np
import pytest
import simplejpeg

from attgan.data import codec
from attgan.data.stored import pack_image, storage, unpack_face
from attgan.data.transforms import face_box, take_face
from attgan.errors import DataError
from tests.support.refusals import refused


def smooth_image(width: int, height: int, seed: int = 0) -> np.ndarray:
    """``(H, W, 3)`` uint8 without sharp edges, so that JPEG keeps it well."""
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17 + p) + np.cos(y / 23 - p) for p in phase]
    return (127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)


def jpeg(width: int = 178, height: int = 218, quality: int = 95) -> bytes:
    pixels = smooth_image(width, height)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorsubsampling="444"))


def directly(data: bytes, size: int) -> np.ndarray:
    pixels = codec.decode(data).pixels
    box = face_box(pixels.shape[1], pixels.shape[0])
    assert box is not None
    return take_face(pixels, box, size)


def test_the_original_is_kept_byte_for_byte_and_cropped_once_when_read() -> None:
    data = jpeg()
    kept = pack_image(data, "original", 128)
    assert (kept.data, kept.width, kept.height, kept.side) == (data, 178, 218, 170)
    for size in (64, 128, 170):
        np.testing.assert_array_equal(
            unpack_face(kept.data, storage("original", 170), size), directly(data, size)
        )


@pytest.mark.parametrize("size", [128])
def test_a_crop_is_the_face_at_its_size_and_never_cropped_again(size: int) -> None:
    data = jpeg()
    kept = pack_image(data, "cropped", size)
    assert (kept.width, kept.height, kept.side) == (size, size, size)
    face = unpack_face(kept.data, storage("cropped", size), size)
    error = face.astype(float) - directly(data, size)
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 40
    assert kept.data == pack_image(data, "cropped", size).data


def test_a_face_that_has_its_size_already_is_not_compressed_again() -> None:
    data = jpeg(128, 128)
    kept = pack_image(data, "cropped", 128)
    assert (kept.data, kept.side) == (data, 128)
    np.testing.assert_array_equal(
        unpack_face(kept.data, storage("cropped", 128), 128), codec.decode(data).pixels
    )


@pytest.mark.parametrize("geometry", ["original", "cropped"])
def test_a_size_above_what_is_stored_is_refused(geometry: str) -> None:
    stored = storage(geometry, 128)  # type: ignore[arg-type]
    with refused("size-above-stored", "160", "128"):
        unpack_face(pack_image(jpeg(), geometry, 128).data, stored, 160)  # type: ignore[arg-type]


@pytest.mark.parametrize("geometry", ["original", "cropped"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg()[:2000], "truncated"),
        (jpeg(200, 100), "200×100 pixels: neither square"),
        (jpeg(96, 96), "96×96 pixels: the face's side is 96, below 128"),
    ],
)
def test_what_does_not_open_or_fit_is_a_data_error(geometry: str, data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        pack_image(data, geometry, 128)  # type: ignore[arg-type]
