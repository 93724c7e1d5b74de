"""An edited image's mark: an XMP packet in its file, which distinguishes it from a photograph.

It has standard properties only, so that other software shows them:

============================ ============================================= ======================================
property                     holds                                         specified in
============================ ============================================= ======================================
Iptc4xmpExt:DigitalSourceType ``…/compositeWithTrainedAlgorithmicMedia``   IPTC Photo Metadata Standard; the term: IPTC
                                                                           NewsCodes, "Edited using generative AI"
xmp:CreatorTool              the software and its version                  ISO 16684-1 (XMP), 8.4
Iptc4xmpExt:AISystemUsed     :data:`AI_SYSTEM`                             IPTC Photo Metadata Standard 2025.1
…:AISystemVersionUsed        the bundle's digest                           as above
…:AIPromptInformation        the edits                                     as above
============================ ============================================= ======================================

A photograph's own packet is kept, and these properties join it (:func:`attgan.data.codec.metadata.xmp.cleaned`); if it
names a tool already, that stays. ``xmpMM:History`` would be the place for a list of edits, but each of its events must
have a time, and the same edit has to give the same bytes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape

from attgan.data.codec.metadata import xmp
from attgan.data.codec.metadata.xmp import IPTC, RDF, WRAPPER, XMP

AI_SYSTEM = "AttGAN"
EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

# The length of a JPEG's one segment (XMP specification, part 3, 1.1.3).
MOST_BYTES = 65_502

_BEGIN, _END = b"<?xpacket begin=", b"<?xpacket end="
_MOST_PACKETS = 16

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Provenance:
    """How an edited image was made.

    Attributes:
        software: name and version, such as ``attgan 0.1.0``.
        model: the digest of the bundle.
        edits: the requested edits as text, such as ``Eyeglasses=1``.
    """

    software: str
    model: str
    edits: str


@functools.lru_cache(maxsize=16)
def xmp_packet(provenance: Provenance) -> bytes:
    """The packet, UTF-8; equal for equal provenance. Characters that XML cannot hold become U+FFFD.

    Raises:
        ValueError: it is longer than :data:`MOST_BYTES`.
    """
    properties = {
        "Iptc4xmpExt:DigitalSourceType": EDITED,
        "Iptc4xmpExt:AISystemUsed": AI_SYSTEM,
        "Iptc4xmpExt:AISystemVersionUsed": provenance.model,
        "Iptc4xmpExt:AIPromptInformation": provenance.edits,
        "xmp:CreatorTool": provenance.software,
    }
    # As attributes, without spaces between: of a small image's bytes this is one in thirty.
    texts = "".join(f' {name}="{_escaped(value)}"' for name, value in properties.items())
    body = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" '
        f'xmlns:xmp="{XMP}" xmlns:Iptc4xmpExt="{IPTC}"{texts}/></rdf:RDF></x:xmpmeta>'
    )
    packet = WRAPPER.format(body).encode()
    if len(packet) > MOST_BYTES:
        raise ValueError(f"an XMP packet of {len(packet):,} bytes; a JPEG holds {MOST_BYTES:,}")
    return packet


def _escaped(text: str) -> str:
    # Bare, these would be read back as spaces.
    spaces = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
    return escape(_NO_XML.sub("\ufffd", text), {'"': "&quot;", **spaces})


def read_mark(data: bytes) -> Provenance | None:
    """How an image was made, or None if its file is not marked as edited with a trained algorithm.

    The packet is found by its wrapper, as the specification intends, so this works for every format and decodes
    nothing. A compressed packet, as in some PNGs of other software, is not found. Missing properties are empty strings.

    Args:
        data: a whole file, or its beginning if that holds the packet, as in our JPEGs and PNGs.
    """
    for packet in _packets(data):
        found = _properties(packet)
        if found.get(f"{IPTC} DigitalSourceType") == EDITED:
            return Provenance(
                found.get(f"{XMP} CreatorTool", ""),
                found.get(f"{IPTC} AISystemVersionUsed", ""),
                found.get(f"{IPTC} AIPromptInformation", ""),
            )
    return None


def _packets(data: bytes) -> Iterator[bytes]:
    at = 0
    for _ in range(_MOST_PACKETS):
        begin = data.find(_BEGIN, at)
        if begin < 0:
            return
        at = begin + len(_BEGIN)
        end = data.find(_END, at, begin + xmp.MOST_BYTES)
        # One that is cut off does not reach into the next one.
        if end < 0 or data.find(_BEGIN, at, end) >= 0:
            continue
        at = end
        body = data.find(b"?>", begin, end) + 2
        if body >= 2:
            yield data[body:end]


def _properties(packet: bytes) -> dict[str, str]:
    """The texts of a packet's elements and attributes by ``namespace name``; empty if it is not well-formed.

    Document types are refused, and so are entities: nothing is expanded, and nothing is fetched.
    """
    found: dict[str, str] = {}
    text: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        text.clear()
        found.update(attributes)

    def end(name: str) -> None:
        found.setdefault(name, "".join(text))
        text.clear()

    def refuse(*_: object) -> None:
        raise ValueError("a document type in XMP")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(packet, True)
    except (expat.ExpatError, ValueError):
        return {}
    return found
