"""Output keys: the input's own, with another format's extension appended where one is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attgan.errors import UserError
from flows.storage import ObjectInfo

_EXTENSIONS = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
}


def output_key(key: str, format: str) -> str:
    """The key of an input's output below the destination.

    Args:
        key: the input's, below the source.
        format: ``keep``, ``jpeg``, ``png``, ``webp`` or ``tiff``; with ``keep`` the key stays as it is, and so does
            one that ends in an extension of the format, in whatever case.
    """
    if format == "keep" or key.lower().endswith(_EXTENSIONS[format]):
        return key
    return key + _EXTENSIONS[format][0]


def refuse_collisions(inputs: Iterable[ObjectInfo], format: str) -> Iterator[ObjectInfo]:
    """The same inputs; their keys must be in order.

    Only a key with an extension appended can meet another one (``a.png`` and ``a.png.jpg`` as JPEG), and all keys
    between the two begin with the first: so a few are remembered, however many there are.

    Raises:
        UserError: two inputs would have one output key.
    """
    begun: list[str] = []  # keys that get an extension, each a beginning of the next
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
