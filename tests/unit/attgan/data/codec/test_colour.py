"""Colours, depths, transparency and orientation as people have them are seen as a viewer shows them, and are kept."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from attgan.data.codec import decode, encode
from tests.support.images.colour_profiles import SRGB, black_ink_only, linear_grey, swapped_primaries
from tests.support.images.pictures import noise, saved
from tests.support.images.raw_images import chunk, png, tiff_of, wide_png

PIXELS = noise(1, 60, 40)
WIDE = np.random.default_rng(2).integers(0, 65536, (40, 60, 4), dtype=np.uint16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_pngs_are_seen_in_eight_and_kept(channels: int) -> None:
    values = WIDE[..., :channels]
    decoded = decode(wide_png(values))
    assert decoded.notes == ()
    assert decoded.in_format("WEBP").notes == ("16 bit to 8",)
    assert decoded.grey == (channels < 3)
    colours = values[..., : 1 if channels < 3 else 3]
    assert np.abs(decoded.pixels - colours / 257.0).max() < 1
    assert (decoded.alpha is not None) == (channels in (2, 4))
    if decoded.alpha is not None:
        assert np.abs(decoded.alpha - values[..., -1] / 257.0).max() < 1
    assert np.array_equal(imagecodecs.png_decode(encode(decoded)).reshape(values.shape), values)
    eight = Image.open(io.BytesIO(encode(decoded, format="WEBP")))
    assert eight.mode == ("RGBA" if channels in (2, 4) else "RGB")


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize(("channels", "photometric"), [(1, 1), (1, 0), (3, 2), (4, 5)])
def test_sixteen_bit_tiffs_are_seen_in_eight_and_kept(
    channels: int, photometric: int, compression: int
) -> None:
    values = WIDE[..., :channels]
    decoded = decode(tiff_of(values, photometric, compression=compression))
    assert decoded.notes == (("16 bit to 8",) if photometric == 5 else ())
    written = encode(decoded)
    if photometric == 5:
        assert Image.open(io.BytesIO(written)).mode == "CMYK"
    else:
        kept = 65535 - values if photometric == 0 else values
        assert np.array_equal(imagecodecs.tiff_decode(written).reshape(values.shape), kept)
    wanted = values / 257.0
    # White is zero.
    if photometric == 0:
        wanted = 255 - wanted
    if photometric == 5:
        wanted = (255 - wanted[..., :3]) * (255 - wanted[..., 3:]) / 255
    assert np.abs(decoded.pixels - wanted).max() < 3


@pytest.mark.parametrize(
    ("values", "bits", "wanted"),
    [
        (np.array([0, 2**31, 2**32 - 1], np.uint32), 32, [0, 128, 255]),
        (np.array([-5, 0, 2**14, 2**15 - 1], np.int16), 16, [0, 0, 127, 255]),
        (np.array([0, 0.5, 1, np.nan], np.float32), 32, [0, 128, 255, 0]),
        (np.array([-1e30, 32767.5, 65535, np.inf], np.float32), 32, [0, 128, 255, 255]),
        # Two samples in three bytes.
        (np.array([0xFF, 0xF0, 0x00], np.uint8), 12, [255, 0]),
    ],
    ids=["unsigned", "signed", "unit float", "float", "twelve"],
)
@pytest.mark.filterwarnings("error")
def test_other_deep_greys_are_scaled_from_their_range(
    values: np.ndarray, bits: int, wanted: list[int]
) -> None:
    data = tiff_of(values.reshape(1, -1, 1), 1, bits=bits, width=len(wanted))
    decoded = decode(data)
    assert np.abs(decoded.pixels[0, :, 0].astype(int) - wanted).max() <= 1
    assert decoded.notes == (f"{bits} bit to 8",)
    assert decoded.grey


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_grey_is_found_at_any_depth(bits: int) -> None:
    values = np.arange(2**bits)[: 8 * 8 // bits]
    packed = np.packbits(np.unpackbits(values.astype(np.uint8)[:, None], axis=1)[:, -bits:].ravel())
    clear = int(values[-1])
    width = len(packed) * 8 // bits
    decoded = decode(png(bits, 0, [packed.tobytes()], width, chunk(b"tRNS", struct.pack(">H", clear))))
    stored = np.unpackbits(packed).reshape(-1, bits) @ (1 << np.arange(bits)[::-1])
    assert decoded.alpha is not None
    assert np.array_equal(decoded.alpha[0] == 0, stored == clear)
    assert np.array_equal(decoded.pixels[0, :, 0], stored * 255 // (2**bits - 1))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_srgb_profile_changes_nothing(format: str) -> None:
    lossless = {"lossless": True} if format == "WEBP" else {}
    plain = decode(saved(PIXELS, format, **lossless))
    tagged = decode(saved(PIXELS, format, icc_profile=SRGB, **lossless))
    assert np.array_equal(tagged.pixels, plain.pixels)
    assert tagged.notes == ()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("alpha", [False, True])
def test_another_profile_is_applied_and_kept(format: str, alpha: bool) -> None:
    picture = Image.fromarray(PIXELS)
    if alpha:
        picture.putalpha(Image.fromarray(PIXELS[..., 0]))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    decoded = decode(saved(picture, format, icc_profile=swapped_primaries(), **options))
    assert decoded.notes == ()
    assert np.abs(decoded.pixels.astype(int) - PIXELS[..., ::-1]).max() <= 1
    written = encode(decoded)
    with Image.open(io.BytesIO(written)) as again:
        assert again.info.get("icc_profile") == swapped_primaries()
        assert np.array_equal(np.asarray(again)[..., :3], PIXELS)
    bare = encode(decoded, format="BMP" if not alpha else "GIF")
    assert "colour profile to sRGB" in decoded.in_format("GIF").notes
    assert not Image.open(io.BytesIO(bare)).info.get("icc_profile")
    if not alpha:
        assert np.array_equal(decode(bare).pixels, decoded.pixels), "a stale profile would be applied twice"
    if alpha:
        assert np.array_equal(decode(written).alpha, PIXELS[..., 0])


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile_is_applied_to_grey(mode: str) -> None:
    values = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    picture = Image.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values)
    if mode == "LA":
        picture.putalpha(Image.fromarray(values))
    decoded = decode(saved(picture, "PNG", icc_profile=linear_grey()))
    assert "colour profile to sRGB" in decoded.in_format("WEBP").notes
    with Image.open(io.BytesIO(encode(decoded))) as again:
        assert again.mode == mode
        assert np.array_equal(np.asarray(again), np.asarray(picture))
    assert abs(int(decoded.pixels[0, 128, 0]) - 188) <= 2, "half the light is value 188 of sRGB"
    assert decoded.grey
    assert decoded.pixels[0, 0, 0] == 0
    assert decoded.pixels[0, 255, 0] == 255


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_ink_is_seen_through_its_press(format: str) -> None:
    ink = np.zeros((16, 32, 4), np.uint8)
    ink[:, 16:, 0] = 255
    ink[8:, :, 3] = 255
    options: dict[str, object] = {"quality": 100} if format == "JPEG" else {}
    naive = decode(saved(Image.fromarray(ink, "CMYK"), format, **options))
    assert naive.in_format("PNG").notes == ("CMYK to RGB",)
    assert (
        np.abs(naive.pixels[[0, 0, 15], [0, 31, 0]].astype(int) - [[255] * 3, [0, 255, 255], [0] * 3]).max()
        < 3
    )
    options["icc_profile"] = black_ink_only()
    seen = decode(saved(Image.fromarray(ink, "CMYK"), format, **options))
    assert seen.notes == ()
    assert seen.in_format("PNG").notes == ("CMYK to RGB", "colour profile to sRGB")
    with Image.open(io.BytesIO(encode(seen))) as again:
        assert again.info["icc_profile"] == black_ink_only()
        assert np.abs(np.asarray(again).astype(int) - ink).max() <= (2 if format == "JPEG" else 0)
    assert np.abs(seen.pixels[[0, 0, 15], [0, 31, 0]].astype(int) - [[255] * 3, [255] * 3, [0] * 3]).max() < 3


def test_adobes_inverted_ink_is_seen_upright_with_and_without_its_marker() -> None:
    """Photoshop writes CMYK inverted, and so does Pillow; readers expect no other."""
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 1] = 255
    data = saved(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data
    at = data.index(b"\xff\xee")
    bare = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]
    assert b"Adobe" not in bare
    for file in (data, bare):
        assert np.abs(decode(file).pixels.astype(int) - [255, 0, 255]).max() < 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format_is_seen_upright_and_kept(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((40, 60, 3), np.uint8)
    # The stored top left.
    stored[:10, :20] = 255
    decoded = decode(saved(stored, format, exif=exif, quality=95))
    corner = {1: "lt", 2: "rt", 3: "rb", 4: "lb", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}[orientation]
    assert decoded.pixels.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    x, y = (3 if corner[0] == "l" else -4), (3 if corner[1] == "t" else -4)
    assert decoded.pixels[y, x, 0] > 200
    bright = (decoded.pixels[..., 0] > 128).mean()
    assert abs(bright - 200 / 2400) < 0.01
    assert decoded.orientation == orientation
    written = encode(decoded)
    again = decode(written)
    assert again.orientation == orientation
    assert np.abs(again.pixels.astype(int) - decoded.pixels).mean() < 1
    for other in {"JPEG", "PNG", "WEBP", "TIFF"} - {format}:
        turned = decode(encode(decoded, format=other))
        assert turned.orientation == 1
        assert np.abs(turned.pixels.astype(int) - decoded.pixels).mean() < 1


def test_transparency_is_turned_with_its_image() -> None:
    picture = Image.fromarray(PIXELS)
    picture.putalpha(Image.fromarray(PIXELS[..., 0]))
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode(saved(picture, "PNG", exif=exif))
    assert decoded.alpha is not None
    assert np.array_equal(decoded.alpha, np.rot90(PIXELS[..., 0], -1))
    assert np.array_equal(decoded.pixels, np.rot90(PIXELS, -1))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*" + b"\xff" * 60, b"Exif\0\0"])
def test_damaged_exif_is_no_reason_to_refuse_a_photograph(exif: bytes) -> None:
    plain = decode(saved(PIXELS, "JPEG", quality=90))
    decoded = decode(saved(PIXELS, "JPEG", quality=90, exif=exif))
    assert np.array_equal(decoded.pixels, plain.pixels)
    assert set(decoded.notes) <= {"EXIF ignored"}
