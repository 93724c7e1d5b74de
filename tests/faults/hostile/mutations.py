"""Good files damaged on purpose: by a seed, so that the same file is damaged in the same way everywhere."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from tests.faults.hostile.good import good_files

_EDGES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)


def mutants(count: int, seed: int = 0) -> dict[str, bytes]:
    """So many damaged files by name; the first ones are the same for every count.

    The name says which file, which damage and which seed.
    """
    goods = good_files()
    names = sorted(goods)
    found = {}
    for i in range(count):
        rng = random.Random(f"{seed}/{i}")
        name = names[i % len(names)]
        data, damages = goods[name], []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            damage = rng.choice(_DAMAGES)
            data = damage(data, rng, goods[rng.choice(names)])
            damages.append(damage.__name__.lstrip("_").replace("_", "-"))
        if data.startswith(b"\x89PNG") and rng.random() < 0.7:
            # Or Pillow would look no further than at the first wrong one.
            data = _with_right_checksums(data)
        stem, _, extension = name.rpartition(".")
        found[f"{seed}-{i:06d}-{stem}-{'-'.join(damages)}.{extension}"] = data
    return found


def _flip_bits(data: bytes, rng: random.Random, other: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 16)):
        at = _somewhere(data, rng)
        if at < len(damaged):
            damaged[at] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _set_bytes(data: bytes, rng: random.Random, other: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = _somewhere(data, rng)
        if at < len(damaged):
            damaged[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))
    return bytes(damaged)


def _set_number(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """A length, a count or an offset, wherever one may stand."""
    size, order = rng.choice((2, 3, 4, 8)), rng.choice(("little", "big"))
    value = rng.choice((*_EDGES, len(data), len(data) - 1, len(data) + 1, rng.randrange(2**32)))
    at = _somewhere(data, rng)
    return data[:at] + (value % 256**size).to_bytes(size, order) + data[at + size :]


def _truncate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[: _somewhere(data, rng)]


def _remove(data: bytes, rng: random.Random, other: bytes) -> bytes:
    at = _somewhere(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 12, rng.randint(1, 1 + len(data) // 2))) :]


def _duplicate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    at = _somewhere(data, rng)
    part = data[at : at + rng.choice((1, 2, 4, 12, rng.randint(1, 1 + len(data) // 4)))]
    return data[:at] + part * rng.choice((2, 3, 100)) + data[at + len(part) :]


def _duplicate_a_segment(data: bytes, rng: random.Random, other: bytes) -> bytes:
    segments = _segments(data)
    if not segments:
        return _duplicate(data, rng, other)
    start, end = rng.choice(segments)
    to = rng.choice(segments)[0]
    return data[:to] + data[start:end] * rng.choice((1, 2, 50)) + data[to:]


def _remove_a_segment(data: bytes, rng: random.Random, other: bytes) -> bytes:
    segments = _segments(data)
    if not segments:
        return _remove(data, rng, other)
    start, end = rng.choice(segments)
    return data[:start] + data[end:]


def _splice(data: bytes, rng: random.Random, other: bytes) -> bytes:
    at, start = _somewhere(data, rng), rng.randrange(len(other))
    part = other[start : start + rng.randint(1, 400)]
    return data[:at] + part + data[at + rng.choice((0, len(part))) :]


def _splice_a_segment(data: bytes, rng: random.Random, other: bytes) -> bytes:
    theirs, ours = _segments(other), _segments(data)
    if not theirs or not ours:
        return _splice(data, rng, other)
    start, end = rng.choice(theirs)
    at = rng.choice(ours)[0]
    return data[:at] + other[start:end] + data[at:]


def _swap_header(data: bytes, rng: random.Random, other: bytes) -> bytes:
    size = rng.choice((2, 4, 8, 12, 16, 30, 54))
    return other[:size] + data[size:]


def _blank(data: bytes, rng: random.Random, other: bytes) -> bytes:
    at, size = _somewhere(data, rng), rng.randint(1, 200)
    return data[:at] + rng.choice((b"\0", b"\xff")) * size + data[at + size :]


_DAMAGES: tuple[Callable[[bytes, random.Random, bytes], bytes], ...] = (
    _flip_bits,
    _set_bytes,
    _set_number,
    _set_number,
    _truncate,
    _remove,
    _duplicate,
    _duplicate_a_segment,
    _remove_a_segment,
    _splice,
    _splice_a_segment,
    _swap_header,
    _blank,
)


def _somewhere(data: bytes, rng: random.Random) -> int:
    """Headers are where it hurts: half of all places lie in the first 200 bytes, a fifth in the last."""
    size = max(1, len(data))
    kind = rng.random()
    if kind < 0.5:
        return rng.randrange(min(200, size))
    return max(0, size - 1 - rng.randrange(min(200, size))) if kind < 0.7 else rng.randrange(size)


def _segments(data: bytes) -> list[tuple[int, int]]:
    """Where the segments of a JPEG, or the chunks of a PNG or WebP, start and end."""
    found = []
    at = 2 if data[:2] == b"\xff\xd8" else 8 if data[:4] == b"\x89PNG" else 12
    while at + 8 <= len(data):
        if data[:2] == b"\xff\xd8" and data[at] == 0xFF and data[at + 1] != 0xDA:
            end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        elif data[:4] == b"\x89PNG":
            end = at + 12 + struct.unpack_from(">I", data, at)[0]
        elif data[:4] == b"RIFF":
            size = struct.unpack_from("<I", data, at + 4)[0]
            end = at + 8 + size + size % 2
        else:
            break
        found.append((at, min(end, len(data))))
        at = end
    return found


def _with_right_checksums(data: bytes) -> bytes:
    mended = bytearray(data)
    for start, end in _segments(data):
        if end - start >= 12 and end <= len(data):
            struct.pack_into(">I", mended, end - 4, zlib.crc32(data[start + 4 : end - 4]))
    return bytes(mended)
