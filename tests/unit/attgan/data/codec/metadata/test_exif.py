"""EXIF loses its pictures, and its place where that is wanted; everything else stays, where it is."""

import struct

import pytest
from PIL import Image

from attgan.data.codec.metadata import exif
from tests.support.images.metadata_samples import MAKER_NOTE, PLACE, SECONDS, THUMBNAIL
from tests.support.images.metadata_samples import exif as sample

GPS, CAMERA, NOTE = 0x8825, 0x8769, 0x927C


def tags(data: bytes) -> dict[object, object]:
    """Every tag that Pillow finds, of all directories but the thumbnail's."""
    found = Image.Exif()
    found.load(data)
    parts = {number: found.get_ifd(number) for number in (CAMERA, GPS)}
    return {
        **{tag: value for tag, value in found.items() if tag not in (CAMERA, GPS)},
        **{(number, tag): value for number, part in parts.items() for tag, value in part.items()},
    }


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_goes_and_all_else_stays_where_it_is(order: str) -> None:
    data = sample(order, 6)
    cleaned = exif.cleaned(data)
    assert THUMBNAIL in data
    assert THUMBNAIL[:40] not in cleaned
    assert len(cleaned) < len(data) - len(THUMBNAIL) + 64
    assert tags(cleaned) == tags(data)
    assert len(tags(cleaned)) > 12
    assert cleaned.index(MAKER_NOTE) == data.index(MAKER_NOTE)
    assert exif.cleaned(cleaned) == cleaned


def test_a_preview_in_the_makers_note_goes_and_its_other_values_stay() -> None:
    note = b"Maker\0" + bytes(range(50)) + THUMBNAIL + b"the end of it"
    tagged = Image.Exif()
    tagged[0x010F], tagged[CAMERA] = "Maker", {NOTE: note}
    data = tagged.tobytes().removeprefix(b"Exif\0\0")
    cleaned = exif.cleaned(data)
    assert len(cleaned) == len(data)
    assert THUMBNAIL[:40] not in cleaned
    assert tags(cleaned)[CAMERA, NOTE] == note.replace(THUMBNAIL, bytes(len(THUMBNAIL)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_place_goes(order: str) -> None:
    data = sample(order, 3)
    cleaned = exif.cleaned(data, location=False)
    before, after = tags(data), tags(cleaned)
    gone = {key for key in before if isinstance(key, tuple) and (key[0] == GPS or key[1] == NOTE)}
    assert len(gone) == 6
    assert after == {key: value for key, value in before.items() if key not in gone}
    assert struct.pack(f"{order}I", SECONDS) in data
    assert struct.pack(f"{order}I", SECONDS) not in cleaned
    assert PLACE not in cleaned


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_read_and_replaced(order: str) -> None:
    for value in range(1, 9):
        data = sample(order, value)
        assert exif.orientation(data) == value
        other = exif.with_orientation(data, 1)
        assert exif.orientation(other) == 1
        assert tags(other) == tags(data) | {0x0112: 1}
        alone = exif.only_orientation(value)
        assert exif.orientation(alone) == (None if value == 1 else value)
    assert exif.orientation(sample(order, None)) is None
    assert exif.orientation(sample(order, 77)) is None
    assert exif.orientation(b"") is None


def directory(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


HEAD = b"II*\0" + struct.pack("<I", 8)
HOSTILE = {
    "empty": b"",
    "text": b"hello, world",
    "head alone": HEAD,
    "too many tags": HEAD + struct.pack("<H", 65_535) + bytes(1000),
    "too long": HEAD + directory() + bytes(2**20),
    "place that leads out": HEAD + directory((GPS, 4, 1, 2**32 - 2)),
    "place that is the first": HEAD + directory((GPS, 4, 1, 8)),
    "camera that is the first": HEAD + directory((CAMERA, 4, 1, 8), (NOTE, 7, 2**31, 8)),
    "thumbnail that is the first": HEAD
    + directory((0x0201, 4, 1, 8), (0x0202, 4, 1, 2**32 - 1), following=8),
    "thumbnail in the head": HEAD + directory((0x0201, 4, 1, 0), (0x0202, 4, 1, 99), following=8),
    "erased many times": HEAD
    + directory((GPS, 4, 1, 26))
    + directory(*((tag, 1, 60_000, 8) for tag in range(5000)))
    + bytes(60_000),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_exif_is_refused_or_cleaned_and_nothing_else(data: bytes) -> None:
    for location in (True, False):
        try:
            assert len(exif.cleaned(data, location=location)) <= len(data)
        except ValueError:
            continue
