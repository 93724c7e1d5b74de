"""Edited faces against the truth: the same drawn face without and with an attribute.

A photograph has the attribute or lacks it. A face can be drawn both ways, and then it is known where the two differ. So
it can be measured whether an edit does what it should there, and leaves the rest unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attgan.attributes import PUBLISHED, Edit, check_names, target_vector
from attgan.data.transforms import CELEBA_SIZE, Box, face_box, take_face
from attgan.drawn_faces import draw_pair, labels, with_attribute
from attgan.drawn_faces.dataset import face_at
from attgan.editing.editor import Editor
from attgan.errors import UserError


@dataclass(frozen=True)
class TruePairs:
    """N drawn faces without and with one attribute.

    Attributes:
        attribute: in which the two differ.
        names: the n attributes of ``labels``.
        without, with_it: ``(N, S, S, 3)`` uint8.
        mask: ``(N, S, S)`` bool, where they differ.
        labels: ``(N, n)`` float32, 0 or 1, of the faces without it.
    """

    attribute: str
    names: tuple[str, ...]
    without: np.ndarray
    with_it: np.ndarray
    mask: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class PairMeasures:
    """Mean absolute differences in grey levels, 0 to 255, over all pairs' pixels and channels.

    Attributes:
        faces: how many pairs.
        before: inside the mask, from the face without the attribute to the true one with it.
        after: inside the mask, from the edited face to the true one: below ``before`` where the edit is right.
        outside: outside the mask, from the edited face to the one that was edited: 0 where nothing else changed.
        nearer: share of the faces whose own ``after`` is below their own ``before``.
    """

    faces: int
    before: float
    after: float
    outside: float
    nearer: float


def draw_true_pairs(
    count: int, *, size: int, attribute: str, names: Sequence[str] = PUBLISHED, seed: int, first: int = 0
) -> TruePairs:
    """Draw pairs. They are new to a model unless it was trained on drawn faces of this seed.

    Args:
        count: N, at least 1.
        size: S, from 1 to 170 pixels.
        attribute: one of the published ones.
        names: the model's attributes.
        seed: of the set, as in :func:`attgan.drawn_faces.write_celeba`.
        first: number of the first face of that set.

    Raises:
        UserError: an attribute that cannot be drawn or is not among the model's.
    """
    check_names([attribute], PUBLISHED, "true pairs")
    check_names([attribute], names, "true pairs")
    if count < 1:
        raise UserError("setting-invalid", f"true pairs: {count} of them; at least 1")
    box = face_box(*CELEBA_SIZE)
    assert box is not None
    pairs = [_pair(first + number, seed, attribute, box, size) for number in range(count)]
    # (N, S, S, 3) each.
    without, with_it = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
    shown = [_labels(first + number, seed, attribute, names) for number in range(count)]
    return TruePairs(
        attribute=attribute,
        names=tuple(names),
        without=without,
        with_it=with_it,
        mask=(without != with_it).any(axis=3),
        labels=np.array(shown, dtype=np.float32),
    )


def edit_pairs(editor: Editor, pairs: TruePairs, intensity: float = 1.0) -> np.ndarray:
    """The faces without the attribute, edited to have it: ``(N, S, S, 3)`` uint8."""
    edit = Edit(pairs.attribute, True, intensity)
    return editor.edit(pairs.without, target_vector(pairs.labels, [edit], pairs.names))


def measure_pairs(pairs: TruePairs, edited: np.ndarray) -> PairMeasures:
    """Compare edited faces ``(N, S, S, 3)`` uint8 with the true ones.

    Raises:
        ValueError: ``edited`` has another shape than the pairs.
    """
    if edited.shape != pairs.without.shape:
        raise ValueError(f"edited faces of shape {edited.shape} for pairs of shape {pairs.without.shape}")
    inside = pairs.mask[..., None]
    before = _mean_by_face(pairs.without, pairs.with_it, inside)
    after = _mean_by_face(edited, pairs.with_it, inside)
    outside = _mean_by_face(edited, pairs.without, ~inside)
    return PairMeasures(
        faces=len(edited),
        before=float(before.mean()),
        after=float(after.mean()),
        outside=float(outside.mean()),
        nearer=float((after < before).mean()),
    )


def _pair(number: int, seed: int, attribute: str, box: Box, size: int) -> tuple[np.ndarray, np.ndarray]:
    pair = draw_pair(face_at(number, seed), attribute)
    return take_face(pair.without, box, size), take_face(pair.with_it, box, size)


def _labels(number: int, seed: int, attribute: str, names: Sequence[str]) -> list[float]:
    shown = labels(with_attribute(face_at(number, seed), attribute, False))
    return [float(shown[name]) for name in names]


def _mean_by_face(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean absolute difference ``(N,)`` of two ``(N, S, S, 3)`` over the pixels ``(N, S, S, 1)`` of each face."""
    difference = np.abs(one.astype(np.float32) - other.astype(np.float32))
    # A face that the attribute does not change counts as 0.
    pixels = np.maximum(where.sum(axis=(1, 2, 3)), 1)
    mean: np.ndarray = (difference * where).sum(axis=(1, 2, 3)) / (pixels * difference.shape[3])
    return mean
