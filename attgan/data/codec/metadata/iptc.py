"""Photoshop's image resources, one of which is IPTC's older form of metadata (IIM).

Sources: Adobe's Photoshop file formats specification, "Image Resources"; IPTC IIM 4.2, chapters 3 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator

IPTC = 0x0404
# Thumbnails, and a digest of the IPTC data, which is wrong once anything is left out.
_PICTURES = frozenset([0x0409, 0x040C])
_DIGEST, _XMP, _EXIF = 0x0425, 0x0424, frozenset([0x0422, 0x0423])
# Of the application record: places by code and by name.
_LOCATION = frozenset([26, 27, 90, 92, 95, 100, 101])
_SIGNATURE = b"8BIM"


def cleaned(resources: bytes, *, location: bool = True) -> bytes:
    """The resources without pictures, and without copies of EXIF and XMP.

    Raises:
        ValueError: they cannot be read.
    """
    kept = []
    for number, name, body in _resources(resources):
        if number in _PICTURES or number in _EXIF or number == _XMP:
            continue
        if number == IPTC and not location:
            body = _without_location(body)
        if number == _DIGEST and not location:
            continue
        kept.append(_resource(number, name, body))
    return b"".join(kept)


def iptc_of(resources: bytes) -> bytes:
    """The IPTC data; empty if there is none. Raises as :func:`cleaned`."""
    return next((body for number, _, body in _resources(resources) if number == IPTC), b"")


def resources_of(iptc: bytes) -> bytes:
    """Image resources with nothing but this IPTC data; empty for none."""
    return _resource(IPTC, b"\0\0", iptc) if iptc else b""


def _resource(number: int, name: bytes, body: bytes) -> bytes:
    return _SIGNATURE + number.to_bytes(2) + name + len(body).to_bytes(4) + body + bytes(len(body) % 2)


def _resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, name with its length and padding, and content."""
    at = 0
    while at + 12 <= len(data):
        if data[at : at + 4] != _SIGNATURE:
            raise ValueError("no image resource")
        named = at + 6 + (data[at + 6] + 2) // 2 * 2
        start = named + 4
        size = int.from_bytes(data[named:start])
        if start + size > len(data):
            raise ValueError("an image resource that is cut off")
        yield int.from_bytes(data[at + 4 : at + 6]), data[at + 6 : named], data[start : start + size]
        at = start + size + size % 2


def _without_location(iptc: bytes) -> bytes:
    kept, at = [], 0
    while at + 5 <= len(iptc) and iptc[at] == 0x1C:
        size = int.from_bytes(iptc[at + 3 : at + 5])
        if size & 0x8000:
            # The length of a longer length.
            wide = size & 0x7FFF
            size = wide + int.from_bytes(iptc[at + 5 : at + 5 + min(wide, 4)])
        end = at + 5 + size
        if not (iptc[at + 1] == 2 and iptc[at + 2] in _LOCATION):
            kept.append(iptc[at:end])
        at = end
    return b"".join(kept)
