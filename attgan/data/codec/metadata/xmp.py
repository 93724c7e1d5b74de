"""XMP packets: cleaned, and joined with the mark of an edited image.

Sources: ISO 16684-1 (XMP), 7; the IPTC Photo Metadata Standard; Android's motion photo and Ultra HDR formats.
"""

from __future__ import annotations

import re
from typing import Any
from xml.dom import minidom
from xml.parsers import expat

WRAPPER = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{}<?xpacket end="r"?>'
"""The specification's, by which a packet is found in a file of any format. ``r``: not to be edited in place."""

MOST_BYTES = 2**18
"""Longer packets are not read, because their nodes take about a hundred times as many. Photographs' have up to 2^16."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP = "http://ns.adobe.com/xap/1.0/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_CORE = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
_PHOTOSHOP, _TIFF = "http://ns.adobe.com/photoshop/1.0/", "http://ns.adobe.com/tiff/1.0/"
_GOOGLE = "http://ns.google.com/photos/1.0/"

_Names = frozenset[tuple[str | None, str | None]]
_TOOL = (XMP, "CreatorTool")
_ORIENTATION: _Names = frozenset([(_TIFF, "Orientation")])
# Pictures in the packet, and what says that the file has further parts, which it no longer has.
_PARTS: _Names = frozenset(
    [
        (XMP, "Thumbnails"),
        ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"),
        *(
            (f"{_GOOGLE}camera/", kind + what)
            for kind in ("MotionPhoto", "MicroVideo")
            for what in ("", "Version", "Offset", "PresentationTimestampUs")
        ),
    ]
)
_NAMESPACES_OF_PARTS = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    *(f"{_GOOGLE}{part}/" for part in ("container", "image", "depthmap")),
)
_ORIENTED = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])[\"'<]")
_LOCATION: _Names = frozenset(
    [
        *((_PHOTOSHOP, name) for name in ("City", "State", "Country")),
        *((_CORE, name) for name in ("Location", "CountryCode")),
        *((IPTC, name) for name in ("LocationShown", "LocationCreated")),
    ]
)


def cleaned(packet: bytes, mark: bytes = b"", *, location: bool = True, upright: bool = False) -> bytes:
    """A packet without pictures, and without what refers to parts that an edited file no longer has.

    Args:
        packet: what is there; may be empty.
        mark: a packet of ours (:func:`attgan.data.codec.provenance.xmp_packet`), or nothing. Its properties replace
            those that are there, but the name of the tool that made the photograph stays.
        location: keep where the photograph was taken.
        upright: the pixels are written upright, so that an orientation no longer holds.

    Raises:
        ValueError: the packet cannot be read.
    """
    if not packet:
        return mark
    document = _parsed(packet)
    try:
        (root,) = document.getElementsByTagNameNS(RDF, "RDF")
        ours = _parsed(mark).getElementsByTagNameNS(RDF, "Description")[0] if mark else None
        unwanted = _PARTS | (_ORIENTATION if upright else _Names()) | (_Names() if location else _LOCATION)
        if ours is not None:
            unwanted |= _Names(_name(item) for item in ours.attributes.values()) - {_TOOL, (RDF, "about")}
        tools = _clean(root, unwanted, location)
        if ours is not None:
            _add(document, root, ours, tools)
        assert document.documentElement is not None
        return WRAPPER.format(document.documentElement.toxml()).encode()
    except RecursionError as error:
        raise ValueError("XMP of too many levels") from error


def _parsed(packet: bytes) -> minidom.Document:
    wide = packet[:2] in (b"\xff\xfe", b"\xfe\xff")
    # Some writers pad with zeros.
    text = packet.decode("utf-16" if wide else "utf-8").strip("\0\ufeff \t\r\n")
    # Without a document type there are no entities, so nothing is expanded and nothing is fetched. A declaration could
    # name an encoding in which one is hidden.
    if len(packet) > MOST_BYTES or "<!DOCTYPE" in text or "<?xml " in text:
        raise ValueError("XMP that is too long, or has a document type")
    try:
        return minidom.parseString(text.encode())
    except expat.ExpatError as error:
        raise ValueError("damaged XMP") from error


def _name(node: minidom.Node) -> tuple[str | None, str | None]:
    return node.namespaceURI, node.localName


def _clean(root: minidom.Element, unwanted: _Names, location: bool) -> list[Any]:
    """Remove what is unwanted, as elements and as attributes; returns the tools that are named."""

    def is_unwanted(node: minidom.Node) -> bool:
        space, name = _name(node)
        place = not location and str(name).startswith("GPS")
        return place or (space, name) in unwanted or str(space).startswith(_NAMESPACES_OF_PARTS)

    tools: list[Any] = []
    for element in list(root.getElementsByTagName("*")):
        for attribute in list(element.attributes.values()):
            # Declarations of namespaces stay.
            if attribute.prefix != "xmlns" and is_unwanted(attribute):
                element.removeAttributeNode(attribute)
            elif _name(attribute) == _TOOL:
                tools.append(attribute)
        if is_unwanted(element) and element.parentNode is not None:
            element.parentNode.removeChild(element)
        elif _name(element) == _TOOL:
            tools.append(element)
    return tools


def _add(document: minidom.Document, root: minidom.Element, ours: minidom.Element, tools: list[Any]) -> None:
    """Append our description to theirs, with their tool; that of an earlier edit of ours is replaced."""
    software = ours.getAttributeNS(*_TOOL).split(" ")[0] + " "
    if all(_text(tool).startswith(software) for tool in tools):
        for tool in tools:
            if tool.nodeType == tool.ATTRIBUTE_NODE:
                tool.ownerElement.removeAttributeNode(tool)
            else:
                tool.parentNode.removeChild(tool)
    else:
        ours.removeAttributeNS(*_TOOL)
    # All descriptions of a packet are about the same thing.
    for other in root.getElementsByTagNameNS(RDF, "Description")[:1]:
        ours.setAttributeNS(RDF, "rdf:about", other.getAttributeNS(RDF, "about"))
    ours.setAttribute("xmlns:rdf", RDF)
    root.appendChild(document.importNode(ours, True))


def _text(node: Any) -> str:
    """Of an attribute or an element."""
    return "".join(child.nodeValue or "" for child in node.childNodes)


def orientation(packet: bytes) -> int:
    """1 to 8 as in EXIF; 1 if the packet does not say."""
    found = _ORIENTED.search(packet)
    return int(found[1]) if found else 1
