"""TIFF: checks what Pillow and libtiff would allocate for the first directory; pages, and the values of samples.

Source: TIFF 6.0, sections 2 (structure), 8 (baseline fields), 15 (tiles); BigTIFF by Aware Systems.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import PIL
from PIL import TiffImagePlugin

from attgan.data.codec.image import Limits
from attgan.errors import DataError

MAGICS = (b"II*\x00", b"MM\x00*", b"II\x00*", b"MM*\x00", b"II+\x00", b"MM\x00+")

_TILE_WIDTH, _TILE_LENGTH = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH
_OFFSETS = (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS)
# Pillow makes a record of each: a million take 350 MB and 8 s.
_MOST_STRIPS = 65_536
# Numbers become Python objects of 36 bytes each. Values of the types in _BYTES stay bytes.
_MOST_NUMBERS = 2**20
_BYTES = (1, 2, 6, 7)
_SHORT = 3
_MOST_PAGES = 1000


def check(data: bytes, limits: Limits) -> None:
    """Refuse tags of too many values, and tiles beyond the limit of pixels.

    libtiff allocates a whole tile: a file of 157 bytes can take 1.2 GB.

    Raises:
        DataError: stage ``decode``.
    """
    tile = {_TILE_WIDTH: 1, _TILE_LENGTH: 1}
    directory = _first_directory(data)
    for tag, kind, count, value in directory.entries():
        if tag in tile:
            tile[tag] = value
        most = _MOST_STRIPS if tag in _OFFSETS else _MOST_NUMBERS
        # A count beyond the file's length is a damaged tag, which Pillow ignores.
        if most < count <= len(data) and kind not in _BYTES:
            raise DataError("decode", f"{count:,} values in tag {tag}; at most {most:,} are read")
    limits.refuse_beyond(tile[_TILE_WIDTH], tile[_TILE_LENGTH], "a tile of ")


def pages(data: bytes) -> str:
    """The number of pages, in words where not all are counted."""
    directory = _first_directory(data)
    seen: set[int] = set()
    while directory.exists and directory.start not in seen:
        seen.add(directory.start)
        if len(seen) == _MOST_PAGES:
            return f"{_MOST_PAGES:,} or more"
        directory = directory.next()
    return f"{max(len(seen), 1):,}"


def white(picture: TiffImagePlugin.TiffImageFile) -> tuple[float, bool]:
    """The highest sample value of a grey picture of more than eight bits, and whether 0 is white instead.

    Floats have no range; their highest value is taken to be 1.
    """
    bits = max(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,)))
    # 1 unsigned, 2 signed, 3 float.
    kind = picture.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0]
    top = 1.0 if kind == 3 else float(2 ** (bits - (kind == 2)) - 1)
    return top, picture.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


@dataclass(frozen=True)
class _Directory:
    """An image file directory; numbers beyond the file's end read as 0."""

    data: bytes
    order: Literal["little", "big"]
    big: bool
    start: int

    @property
    def exists(self) -> bool:
        return 0 < self.start < len(self.data)

    def entries(self) -> Iterator[tuple[int, int, int, int]]:
        """Tag, type, count, and the value or its offset."""
        size = 8 if self.big else 4
        for i in range(self._length):
            at = self._entry(i)
            if at >= len(self.data):
                return
            kind = self._number(at + 2, 2)
            value = self._number(at + 4 + size, 2 if kind == _SHORT else size)
            yield self._number(at, 2), kind, self._number(at + 4, size), value

    def next(self) -> _Directory:
        start = self._number(self._entry(self._length), 8 if self.big else 4)
        return _Directory(self.data, self.order, self.big, start)

    @property
    def _length(self) -> int:
        return min(self._number(self.start, 8 if self.big else 2), 65_535)

    def _entry(self, index: int) -> int:
        return self.start + (8 + 20 * index if self.big else 2 + 12 * index)

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], self.order)


def _first_directory(data: bytes) -> _Directory:
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = 43 in data[2:4]
    start = int.from_bytes(data[8:16] if big else data[4:8], order)
    return _Directory(data, order, big, start)


def _silence_libtiff() -> None:
    """Keep libtiff from writing a line to stderr about every damaged strip. For us a file decodes or it raises.

    The library is the one in Pillow's wheel. If it is not found, the lines are printed, and nothing else differs.
    """
    root = Path(PIL.__file__).parent
    for path in [*root.parent.glob("pillow.libs/libtiff-*.so*"), *root.glob(".dylibs/libtiff*.dylib")]:
        library = ctypes.CDLL(str(path))
        for set_handler in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


_silence_libtiff()
