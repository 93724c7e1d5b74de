"""An image goes back as it came, or into another format with as little lost as that format allows."""

import io

import numpy as np
import pytest
from PIL import Image

from attgan.data import codec
from attgan.data.codec import Decoded, decode, encode, prepare, write
from attgan.errors import DataError
from tests.support.images.pictures import noise, saved

PIXELS = noise(1, 60, 40)
GREY = np.repeat(PIXELS[..., :1], 3, axis=2)
ALPHA = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))


def mode(data: bytes) -> str:
    """Pillow's, once the image is loaded."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.mode


@pytest.mark.parametrize("format", codec.FORMATS)
def test_a_grey_image_goes_back_grey(format: str) -> None:
    decoded = decode(saved(Image.fromarray(GREY[..., 0]), format, quality=95))
    assert decoded.grey == (format != "WEBP"), "WebP has no grey"
    edited = decoded.with_pixels(255 - decoded.pixels)
    written = encode(edited)
    assert mode(written) == {"WEBP": "RGB", "GIF": "P"}.get(format, "L")
    again = decode(written)
    assert again.grey == decoded.grey
    assert np.abs(again.pixels - edited.pixels.astype(int)).mean() < 2
    if format not in ("JPEG", "WEBP"):
        assert np.array_equal(again.pixels, edited.pixels)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_grey_image_with_transparency_goes_back_so(format: str) -> None:
    picture = Image.fromarray(GREY[..., 0])
    picture.putalpha(Image.fromarray(ALPHA))
    decoded = decode(saved(picture, format))
    assert decoded.grey
    written = encode(decoded)
    assert mode(written) == "LA"
    assert np.array_equal(decode(written).pixels, GREY)
    assert np.array_equal(decode(written).alpha, ALPHA)


def test_an_edit_in_colour_of_a_grey_image_is_seen_grey_in_all_formats() -> None:
    edited = Decoded(PIXELS, "PNG", grey=True)
    wanted = np.asarray(Image.fromarray(PIXELS).convert("L")).astype(int)
    for format in ("PNG", "TIFF", "BMP", "GIF", "JPEG"):
        seen = decode(encode(edited, format=format, quality=100)).pixels
        assert np.abs(seen - wanted[..., None]).max() <= (2 if format == "JPEG" else 0), format


@pytest.mark.parametrize("target", codec.FORMATS)
@pytest.mark.parametrize("source", codec.FORMATS)
@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["opaque", "alpha"])
def test_every_format_becomes_every_other(source: str, target: str, alpha: np.ndarray | None) -> None:
    image = decode(encode(Decoded(PIXELS, source, alpha=alpha)))
    assert image.format == source
    written = encode(image, format=target)
    again = decode(written)
    assert again.format == target
    if image.alpha is None:
        assert np.abs(again.pixels - image.pixels.astype(int)).mean() < 12, (
            "no more than a lossy format's own loss"
        )
        assert again.alpha is None
    elif target in ("PNG", "TIFF"):
        assert np.array_equal(again.alpha, image.alpha)
        assert np.array_equal(again.pixels, image.pixels)


@pytest.mark.parametrize("format", ["JPEG", "BMP"])
def test_transparency_lies_on_white_where_there_is_none(format: str) -> None:
    image = Decoded(PIXELS, "PNG", alpha=ALPHA, notes=("16 bit to 8",))
    held = image.in_format(format)
    assert held.notes == ("16 bit to 8", "transparency to white")
    assert held.alpha is None
    weight = ALPHA[..., None] / 255
    assert np.abs(held.pixels - (PIXELS * weight + 255 * (1 - weight))).max() <= 0.51
    assert np.array_equal(image.pixels, noise(1, 60, 40)), "the image itself is as it was"
    again = decode(encode(image, format=format, quality=100))
    assert np.abs(again.pixels - held.pixels.astype(int)).mean() < 4


def test_what_a_format_cannot_hold_is_a_data_error() -> None:
    wide = np.zeros((1, 70_000, 3), np.uint8)
    for format in ("JPEG", "WEBP", "GIF"):
        with pytest.raises(DataError, match=f"as {format}: ") as caught:
            encode(Decoded(wide, format))
        assert caught.value.stage == "encode"


@pytest.mark.parametrize("clear", [False, True], ids=["opaque", "clear"])
@pytest.mark.parametrize("colours", [40, 255])
def test_a_gif_keeps_its_colours_outside_an_edit(colours: int, clear: bool) -> None:
    drawn = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    data = saved(drawn.quantize(colours), "GIF", **({"transparency": 7} if clear else {}))
    image = decode(data)
    edited = image.editable()
    edited[10:20, 10:30] //= 2
    ready = prepare(image.with_pixels(edited), "GIF")
    again = decode(write(ready))
    assert ready.notes == ()
    seen = np.ones((40, 60), bool) if image.alpha is None else image.alpha > 0
    assert (image.alpha is not None) == clear
    assert np.array_equal(np.ones_like(seen) if again.alpha is None else again.alpha > 0, seen)
    before = decode(data).pixels
    seen[10:20, 10:30] = False
    assert np.array_equal(again.pixels[seen], before[seen])
    assert np.abs(again.pixels.astype(int) - edited).mean() < 12
