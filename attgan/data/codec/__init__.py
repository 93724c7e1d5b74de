"""Image bytes ↔ pixels: one way in, one way out, for shards and for edits.

Plain JPEGs take libjpeg-turbo's short way (simplejpeg: 178×218 at about twice Pillow's rate, and its threads scale,
since it releases the interpreter lock); everything else, and every JPEG that the short way does not accept without a
warning, is Pillow's to decide, so a file is called broken only when Pillow says so. What neither of them bounds is
refused before they see it, format by format: a size that is allocated before it is told, or costs beyond all bytes and
pixels.
"""

import PIL
import simplejpeg

from attgan.data.codec.decoding import decode
from attgan.data.codec.encoding import encode
from attgan.data.codec.image import CONTENT_TYPES, FORMATS, Decoded, Limits

VERSION = f"simplejpeg {simplejpeg.__version__}, pillow {PIL.__version__}"

__all__ = ["CONTENT_TYPES", "FORMATS", "VERSION", "Decoded", "Limits", "decode", "encode"]
