"""Measures edits of faces that lack an attribute: do they have it afterwards, and is the rest of the face kept?

What is measured is what a user receives: the face with only the change that the edit makes, and the usual style.

No true pairs of faces are needed. An evaluator that was trained apart from AttGAN predicts whether the attribute is
there, and drawn faces show which region it belongs to.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from attgan.attributes import EXCLUSIVE, Edit, check_names, label_vector
from attgan.data.codec import Decoded
from attgan.data.loading.loader import Faces
from attgan.data.loading.order import permutation
from attgan.data.transforms import to_float
from attgan.editing import photographs
from attgan.editing.editor import Editor, make_editor
from attgan.editing.photographs import EditOptions, Photograph, PhotographFace, put_back
from attgan.editing.placement import aligned_placement
from attgan.errors import UserError
from attgan.evaluation.evaluator import Evaluator, recognise
from attgan.evaluation.metrics import psnr, ssim
from attgan.evaluation.region import edit_region
from attgan.models import Generator

BATCH = 32
# In dB, of a reconstruction without any error.
_HIGHEST_PSNR = 100.0
_WEAKER, _STRONGER = 0.5, 1.5


@dataclass(frozen=True)
class EditMeasures:
    """Means over faces without the attribute, which were edited to have it. Shares are by the evaluator's predictions.

    Attributes:
        faces: how many.
        edit_success: share in which it is predicted after the edit.
        success_weaker, success_stronger: the same at half and at one and a half times the intensity.
        false_positives: share in which it is predicted in the original face.
        on_reconstruction: share in which it is predicted in the reconstruction, a pass through the generator without
            a change of attributes.
        psnr, ssim: of the reconstruction against the original face; dB, and 1.0 for equal ones.
        outside: mean absolute change outside the attribute's region from the original face to the edited one, in grey
            levels from 0 to 255; NaN for an attribute whose region is not known.
        kept_attributes: share of the other attributes for which the prediction is the same before and after the edit;
            NaN if there are none. Those that the attribute excludes are left out.
    """

    faces: int
    edit_success: float
    success_weaker: float
    success_stronger: float
    false_positives: float
    on_reconstruction: float
    psnr: float
    ssim: float
    outside: float
    kept_attributes: float


class ChosenFaces(NamedTuple):
    """Rows to measure edits on.

    Attributes:
        rows: ``(m,)`` int64, ascending; none of them has the attribute.
        partition: "test", or "held out" where the dataset has no such row of the test partition. A training chose
            its best state by the held-out rows.
    """

    rows: np.ndarray
    partition: Literal["test", "held out"]


def choose_test_faces(faces: Faces, attribute: str, count: int, seed: int) -> ChosenFaces:
    """Choose faces without the attribute that no training has seen.

    Args:
        faces: opened with the attribute among its own.
        attribute: that they lack.
        count: at most so many, drawn by the seed.
        seed: of the draw.

    Raises:
        UserError: the attribute is unknown, or every face that could be measured on has it.
    """
    check_names([attribute], faces.attributes, f"--attribute {attribute}")
    lacks = ~faces.labels[:, faces.attributes.index(attribute)]
    candidates: tuple[tuple[Literal["test", "held out"], np.ndarray], ...] = (
        ("test", faces.test),
        ("held out", faces.held_out),
    )
    for partition, rows in candidates:
        if len(among := rows[lacks[rows]]):
            drawn = among[permutation(len(among), seed, "test faces", attribute)[:count]]
            return ChosenFaces(np.sort(drawn), partition)
    raise UserError(
        "test-faces-missing",
        f"--attribute {attribute}: of {len(faces.test):,} test images and {len(faces.held_out):,} held-out ones there "
        "is none without it, and edits are measured on such",
    )


def edit_faces(
    generator: Generator,
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    attribute: str,
    *,
    intensity: float = 1.0,
    device: str = "cpu",
) -> np.ndarray:
    """The faces edited to have an attribute, as a user receives them: see :mod:`attgan.editing.photographs`.

    Args:
        generator: is neither changed nor moved.
        images: ``(N, S, S, 3)`` uint8.
        labels: ``(N, n)``, 0, 1 or NaN, in the order of ``names``.
        names: the generator's attributes.
        attribute: among them.
        intensity: of the edit.
        device: that computes.

    Returns:
        ``(N, S, S, 3)`` uint8.
    """
    editor = _editor(generator, device)
    return _edited(editor, images, labels, names, attribute, intensity)


def measure_edits(
    generator: Generator,
    evaluator: Evaluator,
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    attribute: str,
    *,
    intensity: float = 1.0,
    device: str = "cpu",
) -> EditMeasures:
    """Edit faces that lack an attribute, and measure the results.

    Args:
        generator: is neither changed nor moved.
        evaluator: of the attribute among others, for faces of this size.
        images: ``(N, S, S, 3)`` uint8, at least one.
        labels: ``(N, n)``, 0, 1 or NaN, in the order of ``names``; 0 for the attribute.
        names: the generator's attributes.
        attribute: that the edit adds.
        intensity: of the edit.
        device: that computes.

    Raises:
        UserError: the evaluator does not know the attribute.
        ValueError: no face, a face that has the attribute, or one of another size.
    """
    check_names([attribute], evaluator.names, "evaluator")
    if not len(images) or np.asarray(labels)[:, list(names).index(attribute)].any():
        raise ValueError(f"edits are measured on faces without {attribute}, at least one")
    editor = _editor(generator, device)

    def edit(times: float) -> np.ndarray:
        return _edited(editor, images, labels, names, attribute, intensity * times)

    def seen(faces: np.ndarray) -> np.ndarray:
        return recognise(evaluator, faces, device=device)

    column = evaluator.names.index(attribute)
    edited, same = edit(1.0), editor.edit(images, label_vector(labels))
    seen_before, seen_after = seen(images), seen(edited)
    decibels, likeness = _likeness(same, images)
    region = edit_region(attribute, images.shape[1])
    return EditMeasures(
        faces=len(images),
        edit_success=_share(seen_after[:, column]),
        success_weaker=_share(seen(edit(_WEAKER))[:, column]),
        success_stronger=_share(seen(edit(_STRONGER))[:, column]),
        false_positives=_share(seen_before[:, column]),
        on_reconstruction=_share(seen(same)[:, column]),
        psnr=decibels,
        ssim=likeness,
        outside=_change_outside(edited, images, region),
        kept_attributes=_kept(seen_before, seen_after, evaluator.names, attribute),
    )


def _editor(generator: Generator, device: str) -> Editor:
    return make_editor(copy.deepcopy(generator), device, BATCH)


def _edited(
    editor: Editor,
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    attribute: str,
    intensity: float,
) -> np.ndarray:
    options = EditOptions(names, (Edit(attribute, True, intensity),), edit_present=True)
    place = aligned_placement(*images.shape[1:3])
    assert place is not None
    faces = [
        Photograph(Decoded(image, "PNG"), "", row, faces=[PhotographFace(place, image)])
        for image, row in zip(images, np.asarray(labels, dtype=np.float32), strict=True)
    ]
    photographs.edit_faces(faces, editor, options)
    config = editor.generator.config
    return np.stack([put_back(one, config, options, in_place=False).pixels for one in faces])


def _likeness(images: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Mean PSNR and SSIM of two ``(N, S, S, 3)`` uint8."""
    values = []
    for start in range(0, len(images), BATCH):
        one, other = (
            to_float(torch.from_numpy(faces[start : start + BATCH]).permute(0, 3, 1, 2))
            for faces in (images, others)
        )
        values.append(torch.stack([psnr(one, other).clamp(max=_HIGHEST_PSNR), ssim(one, other)]))
    decibels, likeness = torch.cat(values, dim=1).mean(dim=1).tolist()
    return decibels, likeness


def _change_outside(edited: np.ndarray, before: np.ndarray, region: np.ndarray | None) -> float:
    """Mean absolute difference of two ``(N, S, S, 3)`` where ``(S, S)`` does not hold."""
    if region is None or region.all():
        return math.nan
    outside = ~region
    differences = [
        np.abs(one[outside].astype(np.int16) - other[outside]).mean()
        for one, other in zip(edited, before, strict=True)
    ]
    return float(np.mean(differences))


def _kept(before: np.ndarray, after: np.ndarray, names: Sequence[str], attribute: str) -> float:
    """Share of the ``(N, n)`` that are as before, without the attribute and those that it excludes."""
    changed = {attribute, *EXCLUSIVE.get(attribute, ())}
    others = [index for index, name in enumerate(names) if name not in changed]
    return _share(before[:, others] == after[:, others]) if others else math.nan


def _share(right: np.ndarray) -> float:
    return float(right.mean())
