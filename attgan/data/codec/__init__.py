"""Image bytes ↔ pixels, for shards and for edits: one function decodes, one encodes.

Plain JPEGs are decoded by libjpeg-turbo (simplejpeg). It has about twice Pillow's rate at 178×218, and its threads
scale, since it releases the interpreter lock. All other files, and every JPEG that libjpeg-turbo does not accept
without a warning, are decoded by Pillow; the samples of 16 bits, which Pillow does not have in colour, by imagecodecs.
So a file counts as broken only if Pillow cannot read it. No library limits all costs. So each format's module checks a
file first, and refuses a picture whose memory would be allocated before its size is known, and structures that cost far
more than their bytes and pixels.

A JPEG that was one before is encoded by Pillow, because libjpeg-turbo's interface for a quality takes no tables. Pillow
keeps the interpreter lock meanwhile, for a few per cent of what an edit of a photograph takes.
"""

import imagecodecs
import PIL
import simplejpeg

from attgan.data.codec.decoding import decode
from attgan.data.codec.encoding import encode, prepare, write
from attgan.data.codec.formats import FORMATS
from attgan.data.codec.image import Decoded, Limits

VERSION = (
    f"simplejpeg {simplejpeg.__version__}, pillow {PIL.__version__}, imagecodecs {imagecodecs.__version__}"
)

__all__ = [
    "FORMATS",
    "VERSION",
    "Decoded",
    "Limits",
    "decode",
    "encode",
    "prepare",
    "write",
]
