"""Metadata as cameras and editors write it, with a place and a thumbnail that can be searched for."""

from __future__ import annotations

import struct

from PIL import Image

from tests.support.images.pictures import noise, saved

# Of a latitude, in degrees, minutes and ten-thousandths of seconds: as numbers in EXIF, as text elsewhere.
SECONDS = 358_761
PLACE = b"47.987654"
CITY = b"Nowhereville"
MAKER_NOTE = b"Maker\0" + bytes(range(64)) + PLACE
THUMBNAIL = saved(noise(7, 32, 24), "JPEG", quality=50)
TOOL = "Darkroom 3"


def exif(order: str = "<", orientation: int | None = None, *, thumbnail: bytes = THUMBNAIL) -> bytes:
    """From the byte order on: camera, copyright, date, place, a maker's note and a thumbnail."""
    tags = Image.Exif()
    tags.endian = order
    tags[0x010F], tags[0x0110] = "Maker of cameras", "Model 5"
    tags[0x8298], tags[0x013B] = "Copyright of somebody", "An artist"
    if orientation is not None:
        tags[0x0112] = orientation
    tags[0x8769] = {0x9003: "2021:05:04 03:02:01", 0x829A: 0.004, 0x927C: MAKER_NOTE, 0xA434: "A lens"}
    tags[0x8825] = {1: "N", 2: (47.0, 59.0, SECONDS / 10_000), 3: "E", 4: (7.0, 8.0, 9.0), 29: "2021:05:04"}
    data = tags.tobytes().removeprefix(b"Exif\0\0")
    if not thumbnail:
        return data
    first = struct.unpack_from(f"{order}I", data, 4)[0]
    link = first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0]
    data += bytes(len(data) % 2)
    entries = [(0x0103, 3, 6), (0x0201, 4, len(data) + 2 + 36 + 4), (0x0202, 4, len(thumbnail))]
    directory = struct.pack(f"{order}H", 3)
    for tag, kind, value in entries:
        form = f"{order}HHIHH" if kind == 3 else f"{order}HHII"
        directory += struct.pack(form, tag, kind, 1, value, *([0] if kind == 3 else []))
    directory += bytes(4)
    return data[:link] + struct.pack(f"{order}I", len(data)) + data[link + 4 :] + directory + thumbnail


def xmp(attributes: str = "", properties: str = "") -> bytes:
    """A packet with rights, a tool and a place."""
    place = PLACE.decode()
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmp:CreatorTool="{TOOL}" exif:GPSLatitude="{place}N"
 xmp:Rating="4" {attributes}>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">All rights &amp; more</rdf:li></rdf:Alt></dc:rights>
<photoshop:City>{CITY.decode()}</photoshop:City>
<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li exif:GPSLatitude="{place}N"/></rdf:Bag></Iptc4xmpExt:LocationShown>
{properties}
</rdf:Description></rdf:RDF></x:xmpmeta>
{" " * 200}
<?xpacket end="w"?>""".encode()


def dataset(number: int, text: bytes) -> bytes:
    """Of IPTC's application record."""
    return b"\x1c\x02" + bytes([number]) + len(text).to_bytes(2) + text


def resource(number: int, body: bytes) -> bytes:
    """A Photoshop image resource."""
    return b"8BIM" + number.to_bytes(2) + b"\0\0" + len(body).to_bytes(4) + body + bytes(len(body) % 2)


IPTC = dataset(120, b"A caption") + dataset(90, CITY) + dataset(116, b"Copyright")
PHOTOSHOP = resource(0x03ED, bytes(16)) + resource(0x0404, IPTC) + resource(0x040C, bytes(28) + THUMBNAIL)
