"""Small ICC profiles whose effect is known by heart. Source of the layout: ICC.1:2001-04."""

import struct
from itertools import product

from PIL import ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_primaries() -> bytes:
    """sRGB with red's and blue's primaries exchanged: what is stored as red is seen blue."""
    tags = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    count = struct.unpack_from(">I", SRGB, 128)[0]
    table = [SRGB[132 + 12 * i : 144 + 12 * i] for i in range(count)]
    return (
        SRGB[:132]
        + b"".join(tags.get(row[:4], row[:4]) + row[4:] for row in table)
        + SRGB[132 + 12 * count :]
    )


def linear_grey() -> bytes:
    """A grey whose values are proportional to light."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def black_ink_only() -> bytes:
    """A CMYK press on which cyan, magenta and yellow leave no trace, and black is linear in L*."""
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table += bytes(range(256)) * 4
    table += b"".join(bytes([255 * (1 - black), 128, 128]) for *_, black in product((0, 1), repeat=4))
    table += bytes(range(256)) * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def _profile(kind: bytes, colours: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    tags = {**tags, b"wtpt": b"XYZ " + bytes(4) + d50}
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x02400000, kind, colours, connection)
    head += bytes(12) + b"acsp" + bytes(28) + d50
    return head.ljust(128, b"\0") + table + body
