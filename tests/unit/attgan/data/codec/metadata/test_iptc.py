"""Photoshop's resources lose pictures, and IPTC's places where that is wanted."""

import pytest

from attgan.data.codec.metadata import iptc
from tests.support.images.metadata_samples import CITY, IPTC, PHOTOSHOP, THUMBNAIL, dataset, resource


def test_pictures_go_and_all_else_stays() -> None:
    cleaned = iptc.cleaned(PHOTOSHOP)
    assert THUMBNAIL in PHOTOSHOP
    assert cleaned == resource(0x03ED, bytes(16)) + resource(0x0404, IPTC)
    assert iptc.iptc_of(cleaned) == IPTC
    assert iptc.cleaned(iptc.resources_of(IPTC)) == iptc.resources_of(IPTC)


def test_places_go_by_name_and_code() -> None:
    digest = resource(0x0425, bytes(16))
    cleaned = iptc.cleaned(PHOTOSHOP + digest, location=False)
    assert CITY not in cleaned
    assert digest not in cleaned
    assert iptc.iptc_of(cleaned) == dataset(120, b"A caption") + dataset(116, b"Copyright")


def test_a_long_dataset_is_passed() -> None:
    long = b"\x1c\x02\xca\x80\x04" + (70_000).to_bytes(4) + bytes(70_000)
    resources = iptc.resources_of(long + dataset(90, CITY) + dataset(116, b"c"))
    assert iptc.iptc_of(iptc.cleaned(resources, location=False)) == long + dataset(116, b"c")


@pytest.mark.parametrize(
    "data", [b"8BIM" + bytes(3), b"x" * 40, PHOTOSHOP[:-500]], ids=["short", "other", "cut"]
)
def test_damaged_resources_are_refused_or_empty(data: bytes) -> None:
    if len(data) < 12:
        assert iptc.cleaned(data) == b""
        return
    with pytest.raises(ValueError, match="resource"):
        iptc.cleaned(data)
