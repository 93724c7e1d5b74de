"""JPEG: plain files are decoded by libjpeg-turbo; Pillow encodes, in the same way as the file was encoded before."""

from attgan.data.codec.jpeg.coding import QUALITY, coding_segments, encode, notes_on
from attgan.data.codec.jpeg.decoding import decode_plain
from attgan.data.codec.jpeg.metadata import read, write
from attgan.data.codec.jpeg.segments import check

__all__ = [
    "QUALITY",
    "check",
    "coding_segments",
    "decode_plain",
    "encode",
    "notes_on",
    "read",
    "write",
]
