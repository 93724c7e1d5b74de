"""An edited image says what it is, in the places where others' software looks, and nothing else of it changes."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attgan.data import codec
from attgan.data.codec.provenance import (
    AI_SYSTEM,
    EDITED,
    Provenance,
    read_mark,
    xmp_packet,
)
from tests.support.images.pictures import noise

MADE = Provenance("attgan 0.1.0", "sha256:" + 64 * "a", "Eyeglasses=1.5, Young=0")

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP = "http://ns.adobe.com/xap/1.0/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

# Those that can hold XMP where readers look for it (ISO 16684-1; the specification of WebP).
MARKED = ("JPEG", "PNG", "WEBP", "TIFF")
SIMPLE = codec.Decoded(noise(1), "PNG")
IMAGES = {
    "colour": SIMPLE,
    "alpha": codec.Decoded(noise(2), "PNG", alpha=noise(3)[..., 0]),
    "lossless": codec.Decoded(noise(4), "WEBP", lossless=True),
    "one pixel": codec.Decoded(noise(5, 1, 1), "PNG"),
}


def in_file(data: bytes) -> bytes | None:
    """The packet where Pillow finds it."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        found = picture.info.get("xmp")
    return found.encode() if isinstance(found, str) else found


def properties(packet: bytes) -> dict[str, str | None]:
    """By namespace and name, read by another parser than ours."""
    root = ElementTree.fromstring(packet)
    (description,) = root.iter(f"{{{RDF}}}Description")
    return {name: text for name, text in description.attrib.items() if name != f"{{{RDF}}}about"}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("format", codec.FORMATS)
def test_a_mark_changes_no_pixel_and_is_found_where_others_look(format: str, name: str) -> None:
    packet = xmp_packet(MADE)
    plain = codec.encode(IMAGES[name], format=format)
    marked = codec.encode(IMAGES[name], format=format, xmp=packet)
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(marked)) as after:
        assert before.mode == after.mode
        assert np.array_equal(np.asarray(before), np.asarray(after))
    ours = codec.decode(marked)
    assert np.array_equal(ours.pixels, codec.decode(plain).pixels)
    assert not ours.notes
    assert read_mark(plain) is None
    if format in MARKED:
        assert in_file(marked) == packet
        assert read_mark(marked) == MADE
    else:
        assert marked == plain


def test_the_packet_says_what_made_the_image() -> None:
    assert properties(xmp_packet(MADE)) == {
        f"{{{IPTC}}}DigitalSourceType": EDITED,
        f"{{{IPTC}}}AISystemUsed": AI_SYSTEM,
        f"{{{IPTC}}}AISystemVersionUsed": MADE.model,
        f"{{{IPTC}}}AIPromptInformation": MADE.edits,
        f"{{{XMP}}}CreatorTool": MADE.software,
    }


def test_an_edited_image_can_be_edited_again_and_says_so_once() -> None:
    again = Provenance("attgan 0.2.0", "sha256:bb", "Smiling=1")
    for format in MARKED:
        first = codec.decode(codec.encode(SIMPLE, format=format, xmp=xmp_packet(MADE)))
        second = codec.encode(first, xmp=xmp_packet(again))
        assert read_mark(second) == again
        assert second.count(b"<?xpacket begin=") == 1


@given(st.builds(Provenance, st.text(), st.text(), st.text(max_size=200)), st.sampled_from(MARKED))
def test_any_text_survives(made: Provenance, format: str) -> None:
    packet = xmp_packet(made)
    assert packet == xmp_packet.__wrapped__(made), "the same bytes each time"
    read = read_mark(codec.encode(codec.Decoded(noise(1, 8, 8), "PNG"), format=format, xmp=packet))
    assert read is not None
    for wanted, got in zip(vars(made).values(), vars(read).values(), strict=True):
        kept = "".join(sign if sign in "\t\n\r" or sign >= " " else "\ufffd" for sign in wanted)
        assert got == kept.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    parsed = properties(packet)
    assert (parsed[f"{{{IPTC}}}AIPromptInformation"] or "") == read.edits


def described(body: str, attributes: str = "", before: str = "") -> bytes:
    return (
        f'<?xpacket begin="" id="x"?>{before}<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description xmlns:e="{IPTC}"'
        f' xmlns:x="{XMP}" {attributes}>{body}</rdf:Description></rdf:RDF><?xpacket end="w"?>'
    ).encode()


def test_marks_that_others_wrote_are_read() -> None:
    as_attributes = described("", f'e:DigitalSourceType="{EDITED}" x:CreatorTool="another 1.0"')
    assert read_mark(b"anything" + as_attributes) == Provenance("another 1.0", "", "")
    photograph = described("", f'e:DigitalSourceType="{EDITED.rpartition("/")[0]}/digitalCapture"')
    assert read_mark(photograph) is None
    assert read_mark(photograph + as_attributes) is not None, "a file may have several packets"
    assert read_mark(photograph[:200] + as_attributes) is not None, "the first of them may be cut off"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{10 * f"&{chr(97 + i)};"}">' for i in range(9)
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<?xpacket begin=",
        b"<?xpacket begin=" * 100_000,
        b"<?xpacket begin=?><?xpacket end=",
        described(f"<e:DigitalSourceType>{EDITED}"),
        described(f"<e:DigitalSourceType>{EDITED}&j;</e:DigitalSourceType>", before=BOMB + "]>"),
        described(
            "<e:DigitalSourceType>&f;</e:DigitalSourceType>",
            before='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>',
        ),
        described(
            "<e:DigitalSourceType>&f;</e:DigitalSourceType>", before=f'<!DOCTYPE x [<!ENTITY f "{EDITED}">]>'
        ),
        described("<a>" * 20_000),
        b"<?xpacket begin=?>"
        + bytes(70_000)
        + described(f"<e:DigitalSourceType>{EDITED}</e:DigitalSourceType>")[18:],
    ],
    ids=["empty", "begin", "many", "bare", "not closed", "bomb", "external", "entity", "deep", "too long"],
)
def test_a_hostile_packet_is_no_mark(data: bytes) -> None:
    assert read_mark(data) is None
