"""Output keys: the input's key, with the extension of the output format appended if it differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attgan.data.codec import EXTENSIONS
from attgan.errors import UserError
from flows.storage import ObjectInfo


def output_key(key: str, format: str) -> str:
    """The key of an input's output below the destination.

    Args:
        key: the input's, below the source.
        format: ``keep``, ``jpeg``, ``png``, ``webp`` or ``tiff``. With ``keep`` the key stays as it is, and so does a
            key that ends in an extension of the format, in upper or lower case.
    """
    if format == "keep":
        return key
    extensions = EXTENSIONS[format.upper()]
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
