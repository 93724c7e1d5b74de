"""Splits the rows into training and held-out ones, so that no person is on both sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attgan.data.celeba import PARTITIONS
from attgan.data.loading.order import permutation
from attgan.errors import UserError

_VALID, _TEST = PARTITIONS.index("valid"), PARTITIONS.index("test")


class Split(NamedTuple):
    """Row numbers, int64, ascending; each row is in one of the three."""

    training: np.ndarray
    held_out: np.ndarray
    test: np.ndarray


def split_rows(partition: np.ndarray, identity: np.ndarray | None, share: float, seed: int) -> Split:
    """Split a dataset's rows.

    The rows of the valid partition are held out. In a dataset without such a partition ``share`` of the rows, at least
    one, is drawn by the seed. Where identities are known, whole people are drawn until the share is reached, so that
    nobody is on both sides. The test partition is kept for the final measurement.

    Args:
        partition: ``(n,)`` integers, an index into :data:`attgan.data.celeba.PARTITIONS`; negative: none.
        identity: ``(n,)`` integers, or None where unknown.
        share: in [0, 1); 0 holds nothing out but a valid partition.
        seed: of the draw.

    Raises:
        UserError: a share outside its range, or no row is left to train on.
    """
    if not 0 <= share < 1:
        raise UserError("setting-invalid", f"validation share {share:g}: must be at least 0 and below 1")
    rows = np.flatnonzero(partition != _TEST)
    held_out = np.flatnonzero(partition == _VALID)
    if not len(held_out) and share > 0 and len(rows):
        people = None if identity is None else identity[rows]
        held_out = rows[_draw(len(rows), people, share, seed)]
    training = np.setdiff1d(rows, held_out)
    if not len(training):
        raise UserError(
            "training-rows-missing",
            f"no rows are left to train on: of {len(partition):,}, {len(partition) - len(rows):,} are of the test "
            f"partition and {len(held_out):,} are held out",
        )
    return Split(training, held_out, np.flatnonzero(partition == _TEST))


def _draw(count: int, people: np.ndarray | None, share: float, seed: int) -> np.ndarray:
    """``(count,)`` bool."""
    wanted = max(1, round(share * count))
    chosen = np.zeros(count, dtype=bool)
    if people is None:
        chosen[permutation(count, seed, "held out")[:wanted]] = True
        return chosen
    names, person, pictures = np.unique(people, return_inverse=True, return_counts=True)
    order = permutation(len(names), seed, "held out")
    enough = int(np.searchsorted(np.cumsum(pictures[order]), wanted)) + 1
    return np.isin(person, order[:enough])
