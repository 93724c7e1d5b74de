"""PNG: the chunks that its picture needs, its metadata, and properties that Pillow does not report.

Source: the PNG specification, third edition: 4.9 (animation), 5.3 (chunks), 5.4 (names), 11.2.1 (IHDR), 11.3.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from PIL import PngImagePlugin

from attgan.data.codec.formats import FORMATS
from attgan.data.codec.metadata import Metadata
from attgan.errors import DataError

_MAGIC = FORMATS["PNG"].magics[0]
_GREY, _RGB, _GREY_ALPHA = 0, 2, 4
# As many as 64 MiB hold of chunks of 640 bytes. Encoders write chunks of 8 KiB or more.
_MOST_CHUNKS = 100_000
_PICTURE = frozenset([b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"])
_TEXTS = frozenset([b"tEXt", b"zTXt", b"iTXt"])
# A profile that unpacks to more is refused: Pillow's limit of one megabyte is too low for some presses.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20


def picture_alone(data: bytes) -> tuple[bytes, int]:
    """The file reduced to picture and colour profile, and the number of frames that it had.

    Pillow keeps every unknown chunk, unpacks every text, and refuses the first frame if a later one is damaged. The
    still picture is the first frame, or is shown before the animation. A truncated file stays truncated.

    Raises:
        DataError: stage ``decode``: its header is not its first chunk, or it has too many chunks.
    """
    if data[12:16] != b"IHDR":
        raise DataError("decode", "a PNG that does not begin with its header")
    view = memoryview(data)
    kept = [view[: len(_MAGIC)]]
    seen: set[bytes] = set()
    frames, still, dropped = 1, True, False
    at = len(_MAGIC)
    for _ in range(_MOST_CHUNKS):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if kind in _PICTURE or (kind == b"iCCP" and kind not in seen):
            kept.append(view[at:end])
            seen.add(kind)
        else:
            dropped = True
        if kind == b"acTL":
            frames = int.from_bytes(data[at + 8 : at + 12])
        still = still and not (kind == b"fcTL" and b"IDAT" not in seen)
        if kind == b"IEND" or end >= len(data):
            return b"".join(kept) if dropped else data, frames + (frames > 1 and still)
        at = end
    raise DataError("decode", f"more than {_MOST_CHUNKS:,} chunks")


def samples_alone(data: bytes) -> bytes:
    """The file reduced to header and samples, so that nothing else can be damaged."""
    kept = [data[start - 8 : end + 4] for kind, start, end in _chunks(data) if kind in (b"IHDR", b"IDAT")]
    return b"".join([_MAGIC, *kept, _chunk(b"IEND", b"")])


def bits(data: bytes) -> int:
    """Bits per sample, 1 to 16."""
    return data[24]


def is_grey(data: bytes) -> bool:
    """Whether it is stored without colour, with or without alpha."""
    return data[25] in (_GREY, _GREY_ALPHA)


def clear_colour(clear: object, data: bytes) -> object:
    """The transparent grey or colour, converted from the file's samples, as Pillow returns it, to Pillow's eight bits.

    Of 16 bits the upper eight are compared, because Pillow's samples have no others.
    """
    if data[25] == _GREY and isinstance(clear, int) and bits(data) in (2, 4):
        return clear * (255 // (2 ** bits(data) - 1))
    if data[25] == _RGB and isinstance(clear, tuple) and bits(data) == 16:
        return tuple(value >> 8 for value in clear)
    return clear


# They say how the samples are meant, and hold of all of a picture's samples whatever is edited.
_COLOURS = frozenset([b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI"])
# Of the kinds that a changed picture need not have, those that Pillow or libpng write, or that are noted elsewhere.
_OTHERS = frozenset([*_PICTURE, b"iCCP", b"sBIT", b"bKGD", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT"])
_XMP_KEY = b"XML:com.adobe.xmp"
_RAW_PROFILES = b"Raw profile type "
_PICTURES_IN = (b"8bim", b"xmp", b"icc", b"icm", b"APP1", b"exif")
# Of all that is kept, and of one that is unpacked.
_MOST_TEXT_BYTES, _MOST_UNPACKED = 16 * 2**20, 2**21
_SAFE_TO_COPY = 0x20


def read(data: bytes, profile: bytes) -> tuple[Metadata, tuple[str, ...]]:
    """A PNG's metadata, and notes on chunks that an edited one does not have.

    Args:
        data: the file.
        profile: its colour profile, unpacked.
    """
    exif, xmp = b"", b""
    density: tuple[int, float, float] | None = None
    colours: list[bytes] = []
    texts: list[bytes] = []
    notes: list[str] = []
    for kind, start, end in _chunks(data):
        body = data[start:end]
        if kind == b"eXIf":
            exif = exif or body
        elif kind in _TEXTS and body.startswith(_XMP_KEY + b"\0"):
            xmp = xmp or _text(kind, body)
        elif kind in _TEXTS and body.startswith(_RAW_PROFILES):
            name = body[len(_RAW_PROFILES) : body.find(b"\0")]
            if name in (b"exif", b"APP1"):
                exif = exif or _raw_profile(_text(kind, body))
            if name not in _PICTURES_IN:
                texts.append(data[start - 8 : end + 4])
        elif kind in _COLOURS:
            colours.append(data[start - 8 : end + 4])
        elif kind == b"pHYs":
            if len(body) == 9 and body[8] == 1:
                # Pixels of a metre.
                density = (2, int.from_bytes(body[:4]) / 100, int.from_bytes(body[4:8]) / 100)
        elif kind == b"caBX":
            notes.append("content credentials dropped")
        elif kind not in _OTHERS:
            if kind[3] & _SAFE_TO_COPY:
                texts.append(data[start - 8 : end + 4])
            else:
                notes.append("other chunks dropped")
    if sum(map(len, texts)) > _MOST_TEXT_BYTES:
        texts, notes = [], [*notes, "texts dropped"]
    metadata = Metadata(
        exif, xmp, profile=profile, density=density, chunks=b"".join(colours), texts=tuple(texts)
    )
    return metadata, tuple(dict.fromkeys(notes))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the content is, of whole chunks."""
    at = len(_MAGIC)
    for _ in range(_MOST_CHUNKS):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data) or kind == b"IEND":
            return
        yield kind, at + 8, end - 4
        at = end


def _text(kind: bytes, body: bytes) -> bytes:
    """The text of a text chunk; empty if it is damaged or unpacks to more than a limit."""
    text = body[body.find(b"\0") + 1 :]
    packed = kind == b"zTXt"
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        packed = text[:1] == b"\1"
        # Behind the flag and the method: the language and the translated key, each up to a zero.
        text = text[2:].split(b"\0", 2)[-1]
    if not packed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MOST_UNPACKED)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """The bytes of a profile in ImageMagick's form: its name, its length, and hexadecimal digits, on lines."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode()).removeprefix(b"Exif\0\0")
    except ValueError:
        return b""


def write(data: bytes, metadata: Metadata) -> bytes:
    """Insert metadata behind the header of a PNG that has none."""
    chunks = [metadata.chunks]
    if metadata.profile:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.profile)))
    if metadata.density is not None and metadata.density[0]:
        unit, *sides = metadata.density
        a_metre = [round(side * (100 if unit == 2 else 100 / 2.54)) for side in sides]
        chunks.append(_chunk(b"pHYs", b"".join(side.to_bytes(4) for side in a_metre) + b"\1"))
    if metadata.exif:
        chunks.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append(_chunk(b"iTXt", _XMP_KEY + bytes(5) + metadata.xmp))
    header = len(_MAGIC) + 25
    return b"".join([data[:header], *chunks, *metadata.texts, data[header:]])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
