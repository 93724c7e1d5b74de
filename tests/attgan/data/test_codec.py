"""The codec takes images as people have them and calls broken only what is broken."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from attgan.data import codec
from attgan.data.codec import Limits, decode, encode
from attgan.errors import DataError

GRADIENT = np.dstack(
    [
        np.tile(np.linspace(0, 255, 178), (218, 1)),
        np.tile(np.linspace(255, 0, 178), (218, 1)),
        np.full((218, 178), 90),
    ]
).astype(np.uint8)
PICTURE = Image.fromarray(GRADIENT)


def saved(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def pillow_pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"quality": 30}])
def test_a_jpeg_decodes_to_the_same_pixels_as_with_pillow(options: dict[str, object]) -> None:
    data = saved(PICTURE, "JPEG", **options)
    decoded = decode(data)
    assert decoded.format == "JPEG"
    np.testing.assert_array_equal(decoded.pixels, pillow_pixels(data))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_lossless_formats_round_trip_to_the_bit(format: str) -> None:
    decoded = decode(saved(PICTURE, format))
    assert decoded.format == format
    again = decode(encode(decoded))
    assert again.format == format
    np.testing.assert_array_equal(again.pixels, GRADIENT)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_keep_format_and_nearly_the_pixels(format: str) -> None:
    decoded = decode(saved(PICTURE, format))
    again = decode(encode(decoded, quality=95))
    assert again.format == format
    assert np.abs(again.pixels.astype(int) - decoded.pixels).mean() < 2


def test_alpha_is_kept_aside_and_written_back() -> None:
    picture = PICTURE.copy()
    alpha = np.tile(np.arange(178, dtype=np.uint8), (218, 1))
    picture.putalpha(Image.fromarray(alpha))
    decoded = decode(saved(picture, "PNG"))
    np.testing.assert_array_equal(decoded.pixels, GRADIENT)
    edited = decoded.with_pixels(255 - decoded.pixels)
    written = Image.open(io.BytesIO(encode(edited)))
    assert written.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(written)[..., 3], alpha)
    np.testing.assert_array_equal(np.asarray(written)[..., :3], 255 - GRADIENT)


def test_a_palette_with_transparency_has_alpha() -> None:
    picture = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    decoded = decode(saved(picture, "PNG", transparency=3))
    assert decoded.alpha is not None
    assert set(np.unique(decoded.alpha)) == {0, 255}


@pytest.mark.parametrize("format", ["TIFF", "PNG"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format: str) -> None:
    wide = (GRADIENT[..., 0].astype(np.uint16)) * 257
    decoded = decode(saved(Image.fromarray(wide), format))
    np.testing.assert_array_equal(decoded.pixels[..., 1], GRADIENT[..., 0])
    assert "16 bit to 8" in decoded.notes


def test_cmyk_becomes_rgb() -> None:
    decoded = decode(saved(PICTURE.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(decoded.pixels.astype(int) - GRADIENT).mean() < 4
    assert "CMYK to RGB" in decoded.notes


def test_grey_stays_grey() -> None:
    decoded = decode(saved(PICTURE.convert("L"), "JPEG"))
    assert decoded.pixels.shape == (218, 178, 3)
    assert Image.open(io.BytesIO(encode(decoded))).mode == "L"


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photo_comes_out_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    data = saved(PICTURE.transpose(stored), "JPEG", exif=exif, quality=95, subsampling=0)
    decoded = decode(data)
    assert np.abs(decoded.pixels.astype(int) - GRADIENT).mean() < 3
    assert "turned upright" in decoded.notes
    assert Image.open(io.BytesIO(encode(decoded))).getexif().get(0x0112) is None


def test_a_colour_profile_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    unfit = decode(saved(PICTURE, "JPEG", icc_profile=profile.tobytes()))
    assert "colour profile ignored" in unfit.notes
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    fit = decode(saved(PICTURE, "PNG", icc_profile=srgb))
    assert "colour profile to sRGB" in fit.notes
    assert np.abs(fit.pixels.astype(int) - GRADIENT).max() <= 1


def test_the_content_decides_not_the_name() -> None:
    assert decode(saved(PICTURE, "WEBP")).format == "WEBP"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, world", "not an image"),
        (saved(PICTURE, "JPEG")[:1000], "truncated"),
        (saved(PICTURE, "PNG")[:300], "truncated|broken|incomplete"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "not an image|broken|no data"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "jpeg header only"],
)
def test_broken_files_are_data_errors(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        decode(data)
    assert caught.value.stage == "decode"
    assert "\n" not in caught.value.reason


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_unread() -> None:
    with pytest.raises(DataError, match="limit"):
        decode(png_header(40_000, 40_000))
    with pytest.raises(DataError, match="the limit is 1,000"):
        decode(saved(PICTURE, "JPEG"), Limits(max_pixels=1000))
    with pytest.raises(DataError, match="bytes; the limit is 10"):
        decode(saved(PICTURE, "JPEG"), Limits(max_bytes=10))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_never_raise_anything_else(data: st.DataObject) -> None:
    good = data.draw(st.sampled_from([saved(PICTURE, name) for name in codec.FORMATS]))
    damaged = bytearray(good[: data.draw(st.integers(1, len(good)))])
    for _ in range(data.draw(st.integers(0, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(damaged))
    except DataError:
        return
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.ndim == 3
