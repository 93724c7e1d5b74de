"""The metadata of an edited photograph, and the words for what of it is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from attgan.data.codec.formats import FORMATS
from attgan.data.codec.metadata import exif, iptc, xmp

# In the key of a PNG's text, or in a profile of another kind, which may have it in any form.
_PLACE = re.compile(rb"(?i)^.{4}[a-z]{4}[^\0]*(gps|geo|location|latitude|longitude|raw profile)", re.DOTALL)

Policy = Literal["keep", "no-location", "none"]


@dataclass(frozen=True)
class Metadata:
    """What a file says besides its pixels, in forms that several formats share.

    Attributes:
        exif: from its byte order on; empty for none, as are all others.
        xmp: a packet.
        photoshop: image resources, with IPTC's older form among them.
        profile: the colour profile (ICC).
        comments: free texts, in the encoding of the file.
        density: the unit (1: an inch, 2: a centimetre, 0: none, a proportion), and the pixels in it across and down.
        chunks: of a PNG, those that say how its samples are meant, as they are in the file.
        texts: of a PNG, those that describe it, likewise.
    """

    exif: bytes = b""
    xmp: bytes = b""
    photoshop: bytes = b""
    profile: bytes = b""
    comments: tuple[bytes, ...] = ()
    density: tuple[int, float, float] | None = None
    chunks: bytes = b""
    texts: tuple[bytes, ...] = ()

    @property
    def orientation(self) -> int:
        """1 to 8 as in EXIF; 1 if that cannot be read: an image is not refused for that."""
        try:
            return exif.orientation(self.exif) or xmp.orientation(self.xmp)
        except ValueError:
            return 1


NOTHING = Metadata()

_NAMES = {"exif": "EXIF", "xmp": "XMP", "photoshop": "IPTC", "comments": "comments", "texts": "texts"}


def kept(
    metadata: Metadata, format: str, policy: Policy, mark: bytes = b"", *, upright: bool = False
) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of the edited photograph, and notes on what is left out because it cannot be read, or not written.

    Args:
        metadata: of the input.
        format: of the output.
        policy: ``keep``; ``no-location``: without the places in EXIF, XMP and IPTC, and without what could have them
            in another form: the maker's note, free texts about places; ``none``: with nothing but the mark, the
            orientation, and how colours are meant.
        mark: see :func:`attgan.data.codec.metadata.xmp.cleaned`.
        upright: the pixels are written upright, whatever the orientation was.
    """
    held = FORMATS[format].metadata
    mark = mark if "xmp" in held else b""
    chunks = metadata.chunks if format == "PNG" else b""
    if policy == "none":
        orientation = exif.only_orientation(1 if upright else metadata.orientation) if "exif" in held else b""
        return Metadata(orientation, mark, profile=metadata.profile, chunks=chunks), ()
    location = policy == "keep"
    notes: list[str] = []

    def clean(field: str, cleaning: Callable[[], bytes]) -> bytes:
        """Cleaned, and empty with a note if that cannot be done."""
        if not getattr(metadata, field):
            return b""
        try:
            cleaned = cleaning()
            if len(cleaned) <= held.get(field, 0):
                return cleaned
        # Hostile metadata never fails an image.
        except ValueError:
            pass
        notes.append(f"{_NAMES[field]} dropped")
        return b""

    def clean_exif() -> bytes:
        cleaned = exif.cleaned(metadata.exif, location=location)
        return exif.with_orientation(cleaned, 1) if upright else cleaned

    texts = metadata.texts if location else tuple(text for text in metadata.texts if not _PLACE.search(text))
    for field, values in (("comments", metadata.comments), ("texts", texts)):
        if values and field not in held:
            notes.append(f"{_NAMES[field]} dropped")
    result = Metadata(
        clean("exif", clean_exif),
        clean("xmp", lambda: xmp.cleaned(metadata.xmp, mark, location=location, upright=upright)) or mark,
        clean("photoshop", lambda: iptc.cleaned(metadata.photoshop, location=location)),
        metadata.profile,
        metadata.comments if "comments" in held else (),
        metadata.density,
        chunks,
        texts if "texts" in held else (),
    )
    wanted = 1 if upright else metadata.orientation
    if "exif" in held and result.orientation != wanted:
        # What said so has been dropped.
        result = replace(result, exif=exif.only_orientation(wanted))
    return result, tuple(notes)
