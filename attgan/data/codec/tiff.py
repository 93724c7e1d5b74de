"""TIFF: checks what Pillow and libtiff would allocate for the first directory; pages, samples, metadata, and writing.

Sources: TIFF 6.0, sections 2 (structure), 8 (baseline fields), 14 (differencing), 15 (tiles); BigTIFF by Aware Systems;
the XMP specification, part 3, 1.1.4.
"""

from __future__ import annotations

import ctypes
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from PIL import ExifTags, Image, TiffImagePlugin, TiffTags

from attgan.data.codec.image import Limits
from attgan.data.codec.metadata import Metadata, iptc
from attgan.errors import DataError

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


def is_plain_sixteen_bit(picture: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether all samples are unsigned numbers of 16 bits, grey or RGB, with or without a plain alpha channel."""
    tags = picture.tag_v2
    channels = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    colours = {0: 1, 1: 1, 2: 3}.get(tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, -1), 0)
    # 2: alpha that the colours are not multiplied with.
    extra = tuple(tags.get(TiffImagePlugin.EXTRASAMPLES, ()))
    return (
        set(tags.get(TiffImagePlugin.BITSPERSAMPLE, ())) == {16}
        and set(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))) == {1}
        and (channels == colours or (channels == colours + 1 and extra == (2,)))
    )


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


_XMP, _IPTC, _PHOTOSHOP, _PROFILE = 700, 33723, 34377, 34675
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# What describes a picture, of the first directory's tags; all others say how it is stored.
_DESCRIBING = frozenset(
    [
        *(269, 270, 271, 272, 274, 282, 283, 285, 296, 297, 305, 306, 315, 316),
        *(18246, 18249, 33432, 36867, 37510, 40091, 40092, 40093, 40094, 40095, 42033, 42036),
    ]
)
_MOST_BYTES = 2**20
_STRIP_BYTES = 2**16


def read(picture: TiffImagePlugin.TiffImageFile) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of a TIFF that is not loaded yet, and notes on what of it cannot be read."""
    tags, notes = picture.tag_v2, []
    exif = b""
    try:
        exif = _exif_of(picture)
    # A hostile file makes Pillow's parsers raise nearly anything.
    except Exception:
        notes.append("EXIF dropped")
    photoshop = _as_bytes(tags.get(_PHOTOSHOP)) or iptc.resources_of(_as_bytes(tags.get(_IPTC)))
    unit = {2: 1, 3: 2}.get(tags.get(TiffImagePlugin.RESOLUTION_UNIT, 2))
    density = None
    try:
        across, down = (
            float(tags[tag]) for tag in (TiffImagePlugin.X_RESOLUTION, TiffImagePlugin.Y_RESOLUTION)
        )
        if unit is not None and 0 < across < 2**16 and 0 < down < 2**16:
            density = (unit, across, down)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        pass
    metadata = Metadata(
        exif, _as_bytes(tags.get(_XMP)), photoshop, _as_bytes(tags.get(_PROFILE)), density=density
    )
    return metadata, tuple(notes)


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _exif_of(picture: TiffImagePlugin.TiffImageFile) -> bytes:
    """The describing tags as EXIF has them, from its byte order on; empty if there are none."""
    found, exif = picture.getexif(), Image.Exif()
    for tag in _DESCRIBING & set(found):
        exif[tag] = found[tag]
    for number in _DIRECTORIES:
        if directory := found.get_ifd(number):
            exif.get_ifd(number).update(directory)
            exif[number] = dict(directory)
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""


def write(samples: np.ndarray, metadata: Metadata, alpha: bool) -> bytes:
    """A TIFF of one page, deflated.

    Args:
        samples: ``(H, W)`` or ``(H, W, C)`` uint8 or uint16: grey, RGB or CMYK, and alpha if there is any.
        metadata: as :func:`attgan.data.codec.metadata.kept` returns it for a TIFF.
        alpha: whether the last channel is one.
    """
    height, width = samples.shape[:2]
    samples = samples.reshape(height, width, -1)
    channels = samples.shape[2]
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    if metadata.exif:
        _copy_exif(metadata.exif, tags)
    for tag, data in (
        (_XMP, metadata.xmp),
        (_IPTC, iptc.iptc_of(metadata.photoshop)),
        (_PHOTOSHOP, metadata.photoshop),
        (_PROFILE, metadata.profile),
    ):
        if data:
            tags.tagtype[tag] = TiffTags.BYTE if tag == _XMP else TiffTags.UNDEFINED
            tags[tag] = data
    if metadata.density is not None and metadata.density[0]:
        unit, across, down = metadata.density
        tags[TiffImagePlugin.RESOLUTION_UNIT] = unit + 1
        tags[TiffImagePlugin.X_RESOLUTION], tags[TiffImagePlugin.Y_RESOLUTION] = across, down
    rows = max(1, _STRIP_BYTES // (width * channels * samples.itemsize))
    strips = [_strip(samples[top : top + rows]) for top in range(0, height, rows)]
    tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH] = width, height
    tags[TiffImagePlugin.BITSPERSAMPLE] = (8 * samples.itemsize,) * channels
    tags[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = {1: 1, 3: 2, 4: 5}[channels - alpha]
    if alpha:
        # Colours are not multiplied with it.
        tags[TiffImagePlugin.EXTRASAMPLES] = 2
    tags[TiffImagePlugin.COMPRESSION], tags[TiffImagePlugin.PREDICTOR] = 8, 2
    tags[TiffImagePlugin.ROWSPERSTRIP] = rows
    tags[TiffImagePlugin.STRIPBYTECOUNTS] = tuple(map(len, strips))
    starts = np.cumsum([0, *map(len, strips[:-1])]).tolist()
    tags[TiffImagePlugin.STRIPOFFSETS] = tuple(starts)
    for tag in (TiffImagePlugin.STRIPBYTECOUNTS, TiffImagePlugin.STRIPOFFSETS):
        tags.tagtype[tag] = TiffTags.LONG
    buffer = io.BytesIO()
    # The directory adds its own end to the strips' places.
    tags.save(buffer)
    buffer.writelines(strips)
    return buffer.getvalue()


def can_write(exif: bytes) -> bool:
    """Whether all that a TIFF gets of EXIF can be written as tags of a TIFF."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
        _copy_exif(exif, tags)
        tags.tobytes()
    # Damaged EXIF makes Pillow's parsers raise nearly anything.
    except Exception:
        return False
    return True


def _strip(rows: np.ndarray) -> bytes:
    """Each sample as the difference from its left neighbour, deflated."""
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.astype(rows.dtype.newbyteorder("<")).tobytes(), 6)


def _copy_exif(exif: bytes, tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    found = Image.Exif()
    found.load(exif)
    for tag in _DESCRIBING & set(found):
        tags[tag] = found[tag]
    for number in _DIRECTORIES:
        if directory := found.get_ifd(number):
            tags[number] = dict(directory)


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
