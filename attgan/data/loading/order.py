"""The order in which training sees the rows: a pure function of a seed, a stream's name and a batch's number.

There is no state: batch k is computed directly, so a resumed run starts at any batch at once. Random numbers are raw
Philox output (Salmon et al., 2011), whose values NumPy promises to keep. Its key is a hash of their purpose. A
permutation is the stable order of such numbers.

A pass over the data goes through *windows*: the parts are shuffled and dealt into as few windows of nearly equal size
as possible, with at most ``window`` parts each, and the rows are shuffled within each window. If one window holds all
parts, a pass is a permutation of all rows. Otherwise only one window's parts need to be in memory at a time.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Step(NamedTuple):
    """One batch to come.

    Attributes:
        number: counted from 0 over all passes.
        rows: ``(N,)`` int64.
        parts: the parts of the windows that it draws from. They must be in memory.
        ahead: the parts of the window that follows, perhaps in the next pass. They are read ahead.
    """

    number: int
    rows: np.ndarray
    parts: tuple[int, ...]
    ahead: tuple[int, ...]


@dataclass(frozen=True)
class Order:
    """The endless order of one stream.

    Attributes:
        rows: ``(n,)`` int64, ascending: the stream's rows.
        parts: ``(n,)`` int64: the part that holds each row.
        seed: of the run.
        name: of the stream; streams of different names are independent.
        window: parts in memory at a time, at most.
    """

    rows: np.ndarray
    parts: np.ndarray
    seed: int
    name: str
    window: int

    def steps(self, batch_size: int, start: int = 0) -> Iterator[Step]:
        """Every batch from number ``start`` on. The incomplete last batch of each pass is dropped.

        Raises:
            ValueError: not a single batch can be filled.
        """
        per_pass = len(self.rows) // batch_size
        if not per_pass:
            raise ValueError(f"batches of {batch_size} out of {len(self.rows)} rows")
        first = start % per_pass
        for number in itertools.count(start // per_pass):
            windows = self.windows(number)
            parts = [tuple(window.tolist()) for window in [*windows, self.windows(number + 1)[0]]]
            shuffled = [self.rows_of(number, i, window) for i, window in enumerate(windows)]
            ends = np.cumsum([len(rows) for rows in shuffled])
            order = np.concatenate(shuffled)
            for batch in range(first, per_pass):
                begin, end = batch * batch_size, (batch + 1) * batch_size
                low, high = np.searchsorted(ends, [begin, end - 1], side="right")
                # The pass may end before its last windows, because its incomplete last batch is dropped.
                last = batch == per_pass - 1
                yield Step(
                    number * per_pass + batch,
                    order[begin:end],
                    tuple(itertools.chain(*parts[low : high + 1])),
                    parts[-1] if last else parts[high + 1],
                )
            first = 0

    def windows(self, number: int) -> list[np.ndarray]:
        """The parts of each window of pass ``number``."""
        parts = np.unique(self.parts)
        shuffled = parts[permutation(len(parts), self.seed, self.name, "parts", number)]
        return np.array_split(shuffled, -(-len(parts) // self.window))

    def rows_of(self, number: int, index: int, window: np.ndarray) -> np.ndarray:
        """The rows of window ``index`` of pass ``number``, shuffled."""
        rows = self.rows[np.isin(self.parts, window)]
        return rows[permutation(len(rows), self.seed, self.name, "rows", number, index)]


def flips(count: int, seed: int, name: str, number: int) -> np.ndarray:
    """``(count,)`` bool: which images of batch ``number`` are mirrored, half of them on average."""
    return random_keys(count, seed, name, "flips", number) >> np.uint64(63) == 1


def permutation(count: int, *key: int | str) -> np.ndarray:
    """``0 … count - 1`` in the random order of this key, int64."""
    return np.argsort(random_keys(count, *key), kind="stable")


def random_keys(count: int, *key: int | str) -> np.ndarray:
    """``(count,)`` uint64, the uniform random numbers of this key. A larger count begins with the same ones."""
    # Another ``person`` would change every draw.
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16, person=b"attgan tickets").digest()
    philox = np.random.Philox(key=np.frombuffer(digest, dtype="<u8").astype(np.uint64))
    return np.asarray(philox.random_raw(count), dtype=np.uint64)
