"""What a JPEG's file has besides its picture is named when it is left out; a missing end is no reason to refuse it."""

import io

import numpy as np
import pytest
from PIL import Image

from attgan.data.codec import decode, encode
from attgan.errors import DataError
from tests.support.images.pictures import noise, saved
from tests.support.images.raw_images import segment, with_segments

PLAIN = saved(noise(1), "JPEG", quality=85)
OTHER = saved(noise(2), "JPEG", quality=60)
FILM = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"


def stereo() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise(1)).save(
        buffer, "MPO", save_all=True, append_images=[Image.fromarray(noise(2))], quality=85
    )
    return buffer.getvalue()


FILES = {
    "two pictures": (stereo(), ("further pictures dropped",)),
    "a picture behind": (PLAIN + OTHER, ("further pictures dropped",)),
    "motion": (PLAIN + FILM, ("motion part dropped",)),
    "gain map": (with_segments(PLAIN, segment(0xE2, GAIN_MAP)) + OTHER, ("gain map dropped",)),
    "gain map, named in XMP": (
        with_segments(PLAIN, segment(0xE1, XMP + b'<x hdrgm:Version="1.0"/>')) + OTHER,
        ("gain map dropped",),
    ),
    "both": (
        with_segments(PLAIN, segment(0xE2, GAIN_MAP)) + OTHER + FILM,
        ("gain map dropped", "motion part dropped"),
    ),
    "something": (PLAIN + b"something", ("data behind the picture dropped",)),
    "padding": (PLAIN + bytes(100) + b"\r\n", ()),
    "credentials": (
        with_segments(PLAIN, segment(0xEB, b"JP\0\1" + bytes(50))),
        ("content credentials dropped",),
    ),
    "a segment of its maker": (with_segments(PLAIN, segment(0xE5, b"its own")), ("other segments dropped",)),
    "extended XMP": (
        with_segments(PLAIN, segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(99))),
        ("extended XMP dropped",),
    ),
    "nothing": (PLAIN, ()),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_left_out_is_named(name: str) -> None:
    data, notes = FILES[name]
    image = decode(data)
    assert image.notes == notes
    written = encode(image)
    assert decode(written).notes == ()
    assert np.array_equal(image.pixels, decode(PLAIN).pixels)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}], ids=str)
def test_a_jpeg_that_lacks_only_its_end_is_whole(options: dict[str, object]) -> None:
    data = saved(noise(1), "JPEG", quality=85, **options)
    assert np.array_equal(decode(data[:-2]).pixels, decode(data).pixels)
    # More is missing.
    for cut in (200, len(data) // 2):
        with pytest.raises(DataError):
            decode(data[:-cut])
