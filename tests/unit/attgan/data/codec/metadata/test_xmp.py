"""A photograph's XMP packet is joined with our mark; what it says of lost parts, and of places if asked, goes."""

from xml.etree import ElementTree

import pytest

from attgan.data.codec.metadata import xmp
from attgan.data.codec.provenance import EDITED, Provenance, read_mark, xmp_packet
from tests.support.images.metadata_samples import CITY, PLACE, TOOL
from tests.support.images.metadata_samples import xmp as sample

MARK = xmp_packet(Provenance("attgan 0.1.0", "sha256:aa", "Eyeglasses=1"))
CAMERA = "http://ns.google.com/photos/1.0/camera/"


def properties(packet: bytes) -> dict[str, str]:
    """By namespace and name, of all descriptions, read by another parser."""
    root = ElementTree.fromstring(packet)
    found = {}
    for description in root.iter(f"{{{xmp.RDF}}}Description"):
        found.update(description.attrib)
        found.update({item.tag: "".join(item.itertext()).strip() for item in description})
    return found


def test_the_mark_joins_what_is_there() -> None:
    before, after = properties(sample()), properties(xmp.cleaned(sample(), MARK))
    assert before.items() <= after.items()
    added = {name.split("}")[1] for name in set(after) - set(before)}
    assert added == {"DigitalSourceType", "AISystemUsed", "AISystemVersionUsed", "AIPromptInformation"}
    mark = read_mark(xmp.cleaned(sample(), MARK))
    assert mark == Provenance(TOOL, "sha256:aa", "Eyeglasses=1"), "the photograph's own tool stays named"


def test_without_a_packet_the_mark_is_all() -> None:
    assert xmp.cleaned(b"", MARK) == MARK
    assert xmp.cleaned(b"") == b""


def test_an_earlier_mark_and_another_source_type_are_replaced() -> None:
    again = xmp_packet(Provenance("attgan 0.2.0", "sha256:bb", "Smiling=1"))
    for first in (MARK, xmp.cleaned(sample(), MARK)):
        twice = xmp.cleaned(first, again)
        assert twice.count(b"DigitalSourceType") == 1
        assert twice.count(b"CreatorTool") == 1
        mark = read_mark(twice)
        assert mark is not None
        assert (mark.model, mark.edits) == ("sha256:bb", "Smiling=1")
    captured = EDITED.rpartition("/")[0] + "/digitalCapture"
    for packet in (
        sample(f'Iptc4xmpExt:DigitalSourceType="{captured}"'),
        sample("", f"<Iptc4xmpExt:DigitalSourceType>{captured}</Iptc4xmpExt:DigitalSourceType>"),
    ):
        assert read_mark(packet) is None
        joined = xmp.cleaned(packet, MARK)
        assert b"digitalCapture" not in joined
        assert read_mark(joined) is not None


def test_the_place_goes_wherever_it_is() -> None:
    cleaned = xmp.cleaned(sample(), MARK, location=False)
    assert PLACE in sample()
    assert PLACE not in cleaned
    assert CITY not in cleaned
    kept = properties(cleaned)
    assert kept[f"{{{xmp.XMP}}}Rating"] == "4"
    assert kept["{http://purl.org/dc/elements/1.1/}rights"] == "All rights & more"
    assert read_mark(cleaned) is not None


def test_what_refers_to_lost_parts_goes() -> None:
    packet = sample(
        'GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="99" GCamera:SpecialTypeID="x"'
        ' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"',
        "<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/4AAQ</rdf:li></rdf:Alt></xmp:Thumbnails>"
        '<c:Directory xmlns:c="http://ns.google.com/photos/1.0/container/">x</c:Directory>',
    )
    kept = properties(xmp.cleaned(packet))
    assert properties(sample()).items() | {(f"{{{CAMERA}}}SpecialTypeID", "x")} == kept.items()


def test_the_orientation_is_read_and_goes_where_pixels_are_upright() -> None:
    for packet in (
        sample('tiff:Orientation="6"'),
        sample("", "<tiff:Orientation>6</tiff:Orientation>"),
    ):
        assert xmp.orientation(packet) == 6
        assert xmp.orientation(xmp.cleaned(packet)) == 6
        assert xmp.orientation(xmp.cleaned(packet, upright=True)) == 1


@pytest.mark.parametrize(
    "packet",
    [sample() + bytes(50), sample().decode().encode("utf-16"), b"\n " + sample()],
    ids=["zeros", "utf-16", "space"],
)
def test_packets_as_others_write_them_are_read(packet: bytes) -> None:
    assert properties(xmp.cleaned(packet)) == properties(sample())


HOSTILE = {
    "text": b"hello",
    "cut": sample()[:700],
    "bytes": b"\xff" * 100,
    "type": sample().replace(b"<x:xmpmeta", b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta'),
    "declaration": b'<?xml version="1.0" encoding="utf-7"?>' + sample()[60:],
    "no description": b"<x/>",
    "two roots": sample().replace(
        b"</x:xmpmeta>", b"<rdf:RDF xmlns:rdf='" + xmp.RDF.encode() + b"'/></x:xmpmeta>"
    ),
    "long": sample("", "<a/>" * 70_000),
}


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE)
def test_hostile_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        xmp.cleaned(packet, MARK, location=False)
