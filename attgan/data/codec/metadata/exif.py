"""EXIF, changed in place: every value stays where it is, so that makers' notes, which count from there, stay readable.

Source: Exif 2.32 (CIPA DC-008), 4.5 (structure), 4.6 (tags); TIFF 6.0, section 2.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

ORIENTATION = 0x0112
_EXIF_DIRECTORY, _GPS_DIRECTORY, _MAKER_NOTE = 0x8769, 0x8825, 0x927C
# Where a thumbnail's data is, and how long: as a JPEG, or as strips of pixels.
_THUMBNAILS = ((0x0201, 0x0202), (0x0111, 0x0117))
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SHORT = 3
# A picture in a maker's note. With the marker that follows, noise looks like it once in 15,000 notes.
_PICTURE = re.compile(rb"\xff\xd8\xff[\xdb\xc0\xc2\xc4\xe0\xe1\xee]")

MOST_BYTES = 2**20
"""Longer EXIF is not read. A JPEG's segment has 64 KiB at most, and other files' EXIF comes from such segments."""


def orientation(exif: bytes) -> int | None:
    """1 to 8; None where there is none.

    Raises:
        ValueError: the EXIF cannot be read.
    """
    if not exif:
        return None
    directory = _Exif(bytearray(exif)).first()
    entry = directory.entries.get(ORIENTATION)
    if entry is None:
        return None
    value = entry.number
    return value if 1 <= value <= 8 else None


def only_orientation(value: int) -> bytes:
    """EXIF that says nothing else; empty for 1, which is what is meant without it."""
    if value == 1:
        return b""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, _SHORT, 1, value, 0, 0)


def with_orientation(exif: bytes, value: int) -> bytes:
    """The same EXIF with another orientation, if it has one. Raises as :func:`orientation`."""
    whole = _Exif(bytearray(exif))
    entry = whole.first().entries.get(ORIENTATION)
    if entry is not None:
        whole.data[entry.at + 8 : entry.at + 10] = struct.pack(f"{whole.order}H", value)
    return bytes(whole.data)


def cleaned(exif: bytes, *, location: bool = True) -> bytes:
    """EXIF without pictures: the thumbnail, and previews in the maker's note.

    Args:
        exif: from its byte order on, without the ``Exif`` in front.
        location: keep where the photograph was taken. Otherwise the maker's note is removed, too, because it may say
            so in a form of its own.

    Raises:
        ValueError: it cannot be read.
    """
    whole = _Exif(bytearray(exif))
    first = whole.first()
    end = len(whole.data)
    if first.following:
        end = whole.erase_thumbnail(whole.directory(first.following), end)
        whole.write("I", first.end - 4, 0)
    for found in list(_PICTURE.finditer(whole.data)):
        behind = whole.data.find(b"\xff\xd9", found.start())
        if behind > 0:
            whole.erase(found.start(), behind + 2 - found.start())
    if not location:
        whole.remove_location(first)
    return bytes(whole.data[:end])


@dataclass(frozen=True)
class _Entry:
    """A tag: where its entry is, its type, where its values are, their length in bytes, the first as a number."""

    at: int
    kind: int
    start: int
    size: int
    number: int


@dataclass(frozen=True)
class _Directory:
    """Its tags, where it begins and ends, and where the following one is; 0 if there is none."""

    entries: dict[int, _Entry]
    start: int
    end: int
    following: int


class _Exif:
    """EXIF while it is changed. All methods raise ValueError for what leads out of it."""

    def __init__(self, data: bytearray) -> None:
        if bytes(data[:4]) not in (b"II*\0", b"MM\0*") or len(data) > MOST_BYTES:
            raise ValueError("no EXIF, or too long")
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        # Directories may overlap, and each may erase all: this ends what would take long.
        self._may_erase = 4 * len(data)

    def read(self, form: str, at: int) -> int:
        try:
            return int(struct.unpack_from(self.order + form, self.data, at)[0])
        except struct.error as error:
            raise ValueError("EXIF that leads out of itself") from error

    def write(self, form: str, at: int, value: int) -> None:
        struct.pack_into(self.order + form, self.data, at, value)

    def first(self) -> _Directory:
        return self.directory(self.read("I", 4))

    def directory(self, at: int) -> _Directory:
        count = self.read("H", at)
        end = at + 2 + 12 * count + 4
        if at < 8 or end > len(self.data):
            raise ValueError("an EXIF directory that leads out of it")
        entries: dict[int, _Entry] = {}
        for entry in range(at + 2, end - 4, 12):
            tag, kind, values = self.read("H", entry), self.read("H", entry + 2), self.read("I", entry + 4)
            size = _SIZES.get(kind, 1) * values
            start = entry + 8 if size <= 4 else self.read("I", entry + 8)
            number = self.read("H" if kind == _SHORT else "I", entry + 8)
            entries.setdefault(tag, _Entry(entry, kind, start, size, number))
        return _Directory(entries, at, end, self.read("I", end - 4))

    def erase(self, start: int, size: int) -> None:
        end = min(start + size, len(self.data))
        self._may_erase -= max(0, end - start)
        if start < 8 or self._may_erase < 0:
            raise ValueError("EXIF that is meant to take long")
        self.data[start:end] = bytes(max(0, end - start))

    def erase_thumbnail(self, directory: _Directory, end: int) -> int:
        """Overwrites it; returns where the EXIF can end without it, as it is mostly the last part."""
        for where, length in _THUMBNAILS:
            begin, size = directory.entries.get(where), directory.entries.get(length)
            if begin is None or size is None:
                continue
            # Strips may be many, behind each other: from the first one to the end.
            whole = size.number if size.size <= 4 else len(self.data) - begin.number
            start = begin.number if begin.size <= 4 else self.read("I", begin.start)
            self.erase(start, whole)
            if start + whole >= len(self.data):
                end = max(start, directory.end)
        return end

    def remove_location(self, first: _Directory) -> None:
        gps = first.entries.get(_GPS_DIRECTORY)
        if gps is not None:
            places = self.directory(gps.number)
            for entry in places.entries.values():
                if entry.size > 4:
                    self.erase(entry.start, entry.size)
            self.erase(places.start, places.end - places.start)
            self.remove(first, gps)
        camera = first.entries.get(_EXIF_DIRECTORY)
        if camera is not None:
            directory = self.directory(camera.number)
            note = directory.entries.get(_MAKER_NOTE)
            if note is not None:
                if note.size > 4:
                    self.erase(note.start, note.size)
                self.remove(directory, note)

    def remove(self, directory: _Directory, entry: _Entry) -> None:
        """Close the gap of an entry, by moving those behind it."""
        self.data[entry.at : directory.end - 12] = self.data[entry.at + 12 : directory.end]
        self.data[directory.end - 12 : directory.end] = bytes(12)
        # What was erased before may have been this directory.
        self.write("H", directory.start, max(0, self.read("H", directory.start) - 1))
