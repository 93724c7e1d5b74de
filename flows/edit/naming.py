"""What a key's extension says, and output keys: the input's, with the extension of another output format appended."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from itertools import chain

from attgan.data.codec import FORMATS
from attgan.errors import UserError
from flows.storage import ObjectInfo

# Python's own list, without what this machine adds to it.
_TYPES = mimetypes.MimeTypes()
_KNOWN = {**_TYPES.types_map[False], **_TYPES.types_map[True]}

# What Python's list of types does not have: data, documents, and raw photographs. Many of those are TIFF files, of
# which only a small preview would be edited.
_FURTHER = """
    .7z .arrow .cfg .ckpt .conf .crc .db .docx .feather .flac .geojson .ini .ipynb .jsonl .lock .log .m4a .m4v .mat
    .md .md5 .mkv .ndjson .npy .npz .ogg .onnx .parquet .pickle .pkl .pptx .psd .pt .pth .rar .rst .safetensors
    .sha256 .sqlite .tfrecord .tgz .toml .wmv .xlsx .yaml .yml .zst .3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq
    .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f
"""
# Keys with these are no images, so nothing is read to find that out. Of any other key, the content decides.
OTHER_EXTENSIONS = frozenset(
    {
        *(extension for extension, kind in _KNOWN.items() if not kind.startswith("image/")),
        *_TYPES.encodings_map,
        *_FURTHER.split(),
    }
)
_IMAGE_EXTENSIONS = frozenset(chain.from_iterable(format.extensions for format in FORMATS.values()))


def extension_of(key: str) -> str:
    """The extension of a key's last part, in lower case and with its dot; empty without one."""
    name = key.rpartition("/")[2]
    return name[name.rfind(".") :].lower() if "." in name.lstrip(".") else ""


def is_named_as_image(key: str) -> bool:
    """Whether the key has the extension of a format that is read. Then other content is an error of the data."""
    return extension_of(key) in _IMAGE_EXTENSIONS


def output_key(key: str, format: str) -> str:
    """The key of an input's output below the destination.

    Args:
        key: the input's, below the source.
        format: ``keep``, ``jpeg``, ``png``, ``webp`` or ``tiff``. With ``keep`` the key stays as it is, and so does a
            key that ends in an extension of the format, in upper or lower case.
    """
    if format == "keep":
        return key
    extensions = FORMATS[format.upper()].extensions
    return key if key.lower().endswith(extensions) else key + extensions[0]


def refuse_collisions(inputs: Iterable[ObjectInfo], format: str) -> Iterator[ObjectInfo]:
    """Pass on the inputs, whose keys must be sorted, and check that no two have the same output key.

    Only a key that gets an extension can collide with another: ``a.png`` and ``a.png.jpg``, both as JPEG. In sorted
    order all keys between the two begin with the first. So only the prefixes of the current key are remembered.

    Raises:
        UserError: two inputs would have the same output key.
    """
    # Keys that get an extension. Each one is a prefix of the next.
    begun: list[str] = []
    for info in inputs:
        while begun and not info.key.startswith(begun[-1]):
            begun.pop()
        output = output_key(info.key, format)
        for other in begun:
            if output_key(other, format) == output:
                raise UserError(
                    "output-collision",
                    f"--format {format}: {other!r} and {info.key!r} would both become {output!r}",
                )
        if output != info.key:
            begun.append(info.key)
        yield info
