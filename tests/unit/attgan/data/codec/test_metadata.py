"""What a photograph's file says comes back in every format that has a place for it; what has none is noted."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from attgan.data.codec import Decoded, decode, prepare, write
from attgan.data.codec.provenance import Provenance, read_mark, xmp_packet
from tests.support.images.colour_profiles import SRGB
from tests.support.images.metadata_samples import CITY, IPTC, PHOTOSHOP, PLACE, SECONDS, THUMBNAIL, exif, xmp
from tests.support.images.pictures import noise, saved
from tests.support.images.raw_images import chunk, segment, with_segments

PIXELS = noise(1, 60, 40)
MARK = xmp_packet(Provenance("attgan 0.1.0", "sha256:aa", "Eyeglasses=1"))
CAMERA, GPS = 0x8769, 0x8825


def jpeg(orientation: int | None = None) -> bytes:
    data = saved(
        PIXELS, "JPEG", quality=90, subsampling=0, dpi=(300, 200), icc_profile=SRGB, comment=b"a comment"
    )
    return with_segments(
        data,
        segment(0xE1, b"Exif\0\0" + exif(">", orientation)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp()),
        segment(0xED, b"Photoshop 3.0\0" + PHOTOSHOP),
    )


def png(orientation: int | None = None) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp().decode(), zip=True)
    text.add_text("Author", "somebody")
    text.add_itxt("Title", "a title", zip=True)
    text.add_text("GPS position", PLACE.decode())
    data = saved(PIXELS, "PNG", pnginfo=text, dpi=(300, 200), icc_profile=SRGB, exif=exif("<", orientation))
    return data[:33] + chunk(b"gAMA", struct.pack(">I", 45455)) + data[33:]


def webp(orientation: int | None = None) -> bytes:
    return saved(PIXELS, "WEBP", lossless=True, exif=exif("<", orientation), xmp=xmp(), icc_profile=SRGB)


def tiff(orientation: int | None = None) -> bytes:
    tags = Image.Exif()
    tags.load(exif("<", orientation, thumbnail=b""))
    tags[700], tags[33723], tags[34377] = xmp(), IPTC, PHOTOSHOP
    return saved(PIXELS, "TIFF", exif=tags, dpi=(300, 200), icc_profile=SRGB)


MAKE = {"JPEG": jpeg, "PNG": png, "WEBP": webp, "TIFF": tiff}


def facts(data: bytes) -> dict[str, Any]:
    """What Pillow finds in a file."""
    with Image.open(io.BytesIO(data)) as picture:
        tags = picture.getexif()
        parts = {
            (number, tag): value for number in (CAMERA, GPS) for tag, value in tags.get_ifd(number).items()
        }
        described = {tag: tags[tag] for tag in (0x010F, 0x0110, 0x8298, 0x013B, 0x0112) if tag in tags}
        info = picture.info
        return {
            "exif": described | parts,
            "profile": info.get("icc_profile"),
            "dpi": info.get("dpi") and tuple(round(side) for side in info["dpi"]),
            "comment": info.get("comment"),
            "gamma": info.get("gamma"),
            "texts": {name: info[name] for name in ("Author", "Title", "GPS position") if name in info},
        }


def edited(data: bytes, format: str | None = None, policy: Any = "keep") -> tuple[bytes, Decoded]:
    image = decode(data)
    ready = prepare(image.with_pixels(image.pixels.copy()), format or image.format, policy, MARK)
    return write(ready), ready


@pytest.mark.parametrize("orientation", [None, 1, 6])
@pytest.mark.parametrize("format", MAKE)
def test_everything_comes_back_with_the_mark(format: str, orientation: int | None) -> None:
    data = MAKE[format](orientation)
    written, ready = edited(data)
    assert ready.notes == ()
    before, after = facts(data), facts(written)
    assert before == after
    assert len(before["exif"]) >= 12
    assert before["dpi"] == (None if format == "WEBP" else (300, 200))
    mark = read_mark(written)
    assert mark is not None
    assert mark.model == "sha256:aa"
    assert b"All rights" in written
    assert THUMBNAIL[:40] not in written
    if format in ("JPEG", "TIFF"):
        assert IPTC in written
    assert np.abs(decode(written).pixels.astype(int) - decode(data).pixels).mean() < 2
    assert edited(written)[0] == edited(written)[0]


@pytest.mark.parametrize("format", MAKE)
def test_no_place_is_left_anywhere(format: str) -> None:
    data = MAKE[format](6)
    written, ready = edited(data, policy="no-location")
    seconds = [struct.pack(f"{order}I", SECONDS) for order in "<>"]
    traces = [PLACE, CITY, PLACE.hex().encode(), *seconds]
    # A compressed packet is not searched.
    assert sum(trace in data for trace in traces) >= (1 if format == "PNG" else 2)
    assert not any(trace in written for trace in traces)
    assert ready.notes == ()
    before, after = facts(data), facts(written)
    assert after["exif"].items() < before["exif"].items()
    assert not [key for key in after["exif"] if isinstance(key, tuple) and key[0] == GPS]
    assert after["exif"][0x8298] == "Copyright of somebody"
    assert {key: after[key] for key in ("profile", "dpi", "comment")} == {
        key: before[key] for key in ("profile", "dpi", "comment")
    }
    assert read_mark(written) is not None


@pytest.mark.parametrize("format", MAKE)
def test_nothing_is_left_but_mark_colours_and_orientation(format: str) -> None:
    data = MAKE[format](6)
    written, ready = edited(data, policy="none")
    after = facts(written)
    assert after["exif"] == {0x0112: 6}
    assert after["profile"] == SRGB
    assert after["dpi"] != (300, 200)
    assert (after["comment"], after["texts"]) == (None, {})
    assert not any(trace in written for trace in (PLACE, CITY, b"All rights", b"Maker", b"somebody"))
    assert read_mark(written) is not None
    assert ready.notes == ()


@pytest.mark.parametrize("target", [*MAKE, "GIF", "BMP"])
@pytest.mark.parametrize("source", MAKE)
def test_another_format_gets_what_it_can_hold(source: str, target: str) -> None:
    if source == target:
        return
    data = MAKE[source](6)
    written, ready = edited(data, target)
    after = facts(written)
    if target in MAKE:
        assert after["exif"] == facts(data)["exif"] | {0x0112: 1}
        assert after["profile"] == SRGB
        assert read_mark(written) is not None
    else:
        assert {"EXIF dropped", "XMP dropped"} <= set(ready.notes)
    assert ("IPTC dropped" in ready.notes) == (source in ("JPEG", "TIFF") and target not in ("JPEG", "TIFF"))
    assert ("comments dropped" in ready.notes) == (source == "JPEG" and target != "GIF")
    assert ("texts dropped" in ready.notes) == (source == "PNG")
    assert THUMBNAIL[:40] not in written


HOSTILE_EXIF = b"MM\0*" + b"\xff" * 60
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'


def test_hostile_metadata_is_dropped_with_a_note() -> None:
    data = with_segments(
        saved(PIXELS),
        segment(0xE1, b"Exif\0\0" + HOSTILE_EXIF),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + BOMB),
        segment(0xED, b"Photoshop 3.0\0" + b"not a resource"),
    )
    written, ready = edited(data)
    assert ready.notes == ("EXIF dropped", "XMP dropped", "IPTC dropped")
    assert read_mark(written) is not None
    assert facts(written)["exif"] == {}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF"])
def test_an_orientation_stays_where_the_exif_around_it_is_dropped(format: str) -> None:
    broken = exif("<", 6, thumbnail=b"")
    # The link to the place's directory leads out of it, or a camera's name has the type of a number.
    at = (
        broken.index(struct.pack("<HH", GPS, 4))
        if format != "TIFF"
        else broken.index(struct.pack("<HH", 0xA434, 2))
    )
    damaged = bytearray(broken)
    damaged[at + 8 : at + 12] = b"\xff" * 4
    if format == "TIFF":
        damaged[at + 2] = 5
    data = with_segments(saved(PIXELS), segment(0xE1, b"Exif\0\0" + damaged))
    image = decode(data)
    assert image.orientation == 6
    ready = prepare(replace(image, format=format), format, "no-location", MARK)
    assert "EXIF dropped" in ready.notes or format == "TIFF"
    again = decode(write(ready))
    assert again.orientation == 6
    assert again.pixels.shape == image.pixels.shape


def test_what_is_too_long_for_a_jpeg_is_noted() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp("", f"<dc:title>{'x' * 66_000}</dc:title>").decode())
    long = Image.Exif()
    long[0x010E] = "x" * 66_000
    data = saved(PIXELS, "PNG", pnginfo=text, exif=long)
    kept, ready = edited(data)
    assert ready.notes == ()
    assert b"x" * 66_000 in kept
    assert read_mark(kept) is not None
    written, ready = edited(data, "JPEG")
    assert ready.notes == ("EXIF dropped", "XMP dropped")
    assert read_mark(written) is not None


def test_a_text_that_unpacks_to_much_is_not_read() -> None:
    packed = zlib.compress(bytes(100 * 2**20))
    data = saved(PIXELS, "PNG")
    bomb = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)
    _, ready = edited(data[:33] + bomb + data[33:])
    assert ready.notes == ("XMP dropped",)


def test_exif_in_imagemagicks_form_is_kept_as_exif() -> None:
    digits = (b"Exif\0\0" + exif("<", 6)).hex()
    body = f"\nexif\n{len(digits) // 2:8}\n" + "\n".join(
        digits[at : at + 72] for at in range(0, len(digits), 72)
    )
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", body, zip=True)
    data = saved(PIXELS, "PNG", pnginfo=text)
    assert decode(data).orientation == 6
    written, ready = edited(data)
    assert ready.notes == ()
    assert facts(written)["exif"][0x0112] == 6
    assert b"Raw profile" not in written


def test_the_face_alone_has_no_metadata() -> None:
    image = decode(jpeg(6))
    face = prepare(image.with_pixels(image.pixels[:20, :20].copy()), "JPEG", "keep", MARK)
    written = write(face)
    assert facts(written)["exif"] == {}
    assert decode(written).orientation == 1
    assert b"All rights" not in written


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.data())
def test_damaged_metadata_never_fails_an_image(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(list(MAKE)))
    good = MAKE[format](6)
    start = {"JPEG": 2, "PNG": 33, "WEBP": len(good) - 4000, "TIFF": len(good) - 3000}[format]
    end = {"JPEG": good.find(b"\xff\xdb"), "PNG": good.find(b"IDAT")}.get(format, len(good))
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(start, end - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(damaged))
    except Exception:
        return
    for policy in ("keep", "no-location", "none"):
        ready = prepare(image, data.draw(st.sampled_from(list(MAKE))), policy, MARK)
        assert read_mark(write(ready)) is not None
