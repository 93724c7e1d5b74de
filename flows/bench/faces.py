"""Writes drawn faces to a store for measurements, and deletes them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from attgan import drawn_faces as synthetic
from attgan.data.codec import Decoded, encode
from flows.storage import Store

_DIFFERENT = 256
_IN_FLIGHT = 32


@functools.lru_cache(maxsize=2)
def drawn_faces(count: int, seed: int = 0) -> tuple[bytes, ...]:
    """This many JPEGs of 178×218 pixels, quality 90, about 10 kB each. A few hundred different ones are repeated."""
    different = [
        encode(Decoded(synthetic.draw(synthetic.sample_face(seed + number)), "JPEG"), quality=90)
        for number in range(min(count, _DIFFERENT))
    ]
    return tuple(different[number % len(different)] for number in range(count))


def fill(store: Store, count: int, seed: int = 0) -> list[str]:
    """Put drawn faces into a store, and return their keys."""
    return put_files(store, drawn_faces(count, seed))


def put_files(store: Store, files: Sequence[bytes]) -> list[str]:
    """Put JPEGs into a store, and return their keys in order."""
    named = {f"{number:07d}.jpg": data for number, data in enumerate(files)}
    _each(lambda key: store.put(key, named[key], content_type="image/jpeg"), named)
    return list(named)


def clear(store: Store) -> int:
    """Delete all objects of a store, and return their number."""
    return _each(store.delete, (info.key for info in store.list()))


def _each(request: Callable[[str], object], keys: Iterable[str]) -> int:
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        return sum(1 for _ in pool.map(request, keys))
