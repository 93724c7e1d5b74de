"""The evaluator of edits: an attribute classifier trained apart from AttGAN, and its own accuracy on real faces.

On disk an evaluator is a folder with ``classifier.safetensors`` and ``judge.json``, which is written last and holds the
other file's sha256.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from attgan.attributes import check_names
from attgan.data.transforms import to_float
from attgan.errors import UserError
from attgan.evaluation.attribute_scores import AttributeScore, attribute_scores
from attgan.models import AttributeClassifier, Bundle, ClassifierConfig, from_tensors
from attgan.models.bundle_config import CLASSIFIER, AttributeNames, Line, Sha256, first_problem
from attgan.models.folder import Folder
from attgan.models.tensors import pack, unpack

EVALUATOR_FILE = "judge.json"

_BATCH = 64


@dataclass(frozen=True)
class Evaluator:
    """Predicts the attributes that a face shows.

    Attributes:
        classifier: in evaluation mode, on the CPU.
        names: of its n attributes, in its order.
        scores: how well it recognises each on held-out real faces; None where that was not measured.
        about: one line on what it was trained on, or which bundle it belongs to.
        faces: how many faces ``scores`` were measured on.
        licence: one line on what its weights may be used for.
    """

    classifier: AttributeClassifier
    names: tuple[str, ...]
    scores: tuple[AttributeScore, ...] | None
    about: str
    faces: int | None = None
    licence: str | None = None

    @property
    def size(self) -> int:
        """Side of the faces that it takes, in pixels."""
        return self.classifier.config.image_size

    @property
    def digest(self) -> str:
        """sha256 of names and weights: evaluators of equal digests predict the same."""
        weights = pack(self.classifier.state_dict(), "float32", "evaluator")
        return hashlib.sha256("\n".join(self.names).encode() + weights).hexdigest()

    def score_of(self, attribute: str) -> AttributeScore | None:
        """How well it recognises one attribute; None where that is not known."""
        return next((score for score in self.scores or () if score.attribute == attribute), None)


def recognise(
    evaluator: Evaluator, images: np.ndarray, *, device: str = "cpu", batch_size: int = _BATCH
) -> np.ndarray:
    """Predict the attributes of faces, in float32 on every device.

    Args:
        evaluator: a copy of its classifier is moved to the device.
        images: ``(N, S, S, 3)`` uint8, of the evaluator's size.
        device: ``cpu``, ``cuda`` …
        batch_size: faces per pass.

    Returns:
        ``(N, n)`` bool, in the order of the evaluator's names.

    Raises:
        ValueError: faces of another size.
    """
    placed = from_tensors(
        AttributeClassifier, evaluator.classifier.config, evaluator.classifier.state_dict(), "evaluator"
    )
    placed = placed.to(torch.device(device))
    seen = [np.empty((0, len(evaluator.names)), dtype=bool)]
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size]).to(device)
        with torch.inference_mode():
            logits = placed(to_float(batch.permute(0, 3, 1, 2)))
        seen.append((logits > 0).cpu().numpy())
    return np.concatenate(seen)


def score(
    evaluator: Evaluator, images: np.ndarray, labels: np.ndarray, *, device: str = "cpu"
) -> tuple[AttributeScore, ...]:
    """How well an evaluator recognises each attribute of real faces.

    Args:
        evaluator: the one to measure.
        images: ``(N, S, S, 3)`` uint8, of at least one face.
        labels: ``(N, n)``, 0 or 1, in the order of the evaluator's names.
        device: where its classifier runs.
    """
    return attribute_scores(
        recognise(evaluator, images, device=device), np.asarray(labels) > 0.5, evaluator.names
    )


def evaluator_of(bundle: Bundle) -> Evaluator:
    """A bundle's own classifier as an evaluator. Its accuracy is not known.

    Raises:
        UserError: the bundle has none.
    """
    if bundle.classifier is None:
        raise UserError(
            "classifier-missing", "the bundle has no attribute classifier, so that it cannot score edits"
        )
    config = bundle.config
    about = f"the classifier of the bundle {bundle.digest[:16]}"
    return Evaluator(bundle.classifier, config.attributes, None, about, licence=config.licence)


def fitted(evaluator: Evaluator, names: Sequence[str], size: int, where: str) -> Evaluator:
    """The evaluator reduced to these attributes, in this order.

    Args:
        evaluator: of at least these attributes.
        names: the wanted attributes.
        size: of the faces that it is to classify.
        where: the start of a refusal.

    Raises:
        UserError: it takes faces of another size, or does not know an attribute.
    """
    if evaluator.size != size:
        raise UserError(
            "evaluator-size-mismatch", f"{where}: takes faces of {evaluator.size} px, and these have {size}"
        )
    if evaluator.names == tuple(names):
        return evaluator
    check_names(names, evaluator.names, where)
    columns = [evaluator.names.index(name) for name in names]
    tensors = evaluator.classifier.state_dict()
    tensors |= {name: tensors[name][columns] for name in ("head.weight", "head.bias")}
    config = evaluator.classifier.config.model_copy(update={"n_attributes": len(columns)})
    return Evaluator(
        classifier=from_tensors(AttributeClassifier, config, tensors, where),
        names=tuple(names),
        scores=None if evaluator.scores is None else tuple(evaluator.scores[column] for column in columns),
        about=evaluator.about,
        faces=evaluator.faces,
        licence=evaluator.licence,
    )


def save_evaluator(folder: Folder, evaluator: Evaluator) -> None:
    """Write an evaluator, replacing one that is there.

    Raises:
        UserError: a tensor is not finite, or names and scores do not belong to the classifier.
        OSError: what the filesystem reports.
    """
    weights = pack(evaluator.classifier.state_dict(), "float32", f"{folder.path}: evaluator")
    try:
        record = _Record(
            attributes=evaluator.names,
            classifier=evaluator.classifier.config,
            about=evaluator.about,
            licence=evaluator.licence,
            faces=evaluator.faces,
            scores=None if evaluator.scores is None else tuple(_known(each) for each in evaluator.scores),
            files={CLASSIFIER: hashlib.sha256(weights).hexdigest()},
        )
    except ValidationError as error:
        raise UserError("evaluator-invalid", f"{folder.path}: evaluator: {first_problem(error)}") from None
    # Removed first and written last, so that a half-written folder is not taken for an evaluator.
    folder.remove(EVALUATOR_FILE)
    folder.write(CLASSIFIER, weights)
    folder.write(EVALUATOR_FILE, (record.model_dump_json(indent=2) + "\n").encode())


def load_evaluator(folder: Folder, label: str | None = None) -> Evaluator:
    """Read an evaluator that :func:`save_evaluator` wrote.

    Args:
        folder: of the evaluator.
        label: the start of refusals: the option and its value.

    Raises:
        UserError: there is no evaluator, or one of its files is missing, damaged or changed.
        OSError: any other error of the filesystem.
    """
    where = label or f"evaluator {folder.path}"
    try:
        record = _Record.model_validate_json(folder.read(EVALUATOR_FILE))
        weights = folder.read(CLASSIFIER)
    except FileNotFoundError:
        missing = CLASSIFIER if folder.has(EVALUATOR_FILE) else EVALUATOR_FILE
        raise UserError("evaluator-missing", f"{where}: holds no evaluator: {missing} is missing") from None
    except ValidationError as error:
        raise UserError(
            "evaluator-invalid",
            f"{where}: {EVALUATOR_FILE} is not that of an evaluator: {first_problem(error)}",
        ) from None
    if hashlib.sha256(weights).hexdigest() != record.files.get(CLASSIFIER):
        raise UserError(
            "checksum-mismatch",
            f"{where}: {CLASSIFIER} is not the file that {EVALUATOR_FILE} records (its sha256 differs)",
        )
    tensors = unpack(weights, f"{where}: {CLASSIFIER}")
    return Evaluator(
        classifier=from_tensors(AttributeClassifier, record.classifier, tensors, f"{where}: {CLASSIFIER}"),
        names=record.attributes,
        scores=None if record.scores is None else tuple(each.restored() for each in record.scores),
        about=record.about,
        faces=record.faces,
        licence=record.licence,
    )


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Score(_Model):
    """An :class:`AttributeScore` in JSON, where NaN is null."""

    attribute: str
    share: float | None
    accuracy: float | None
    recall: float | None
    balanced_accuracy: float | None
    false_positives: float | None

    def restored(self) -> AttributeScore:
        known: dict[str, Any] = {name: value for name, value in self if value is not None}
        return AttributeScore(**(dict.fromkeys(AttributeScore._fields, math.nan) | known))


class _Record(_Model):
    """The content of ``judge.json``."""

    schema_version: Literal[1] = 1
    attributes: AttributeNames
    classifier: ClassifierConfig
    about: Line
    licence: Line | None
    faces: int | None
    scores: tuple[_Score, ...] | None
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.attributes) != self.classifier.n_attributes:
            raise ValueError(
                f"{len(self.attributes)} attribute names for a classifier of {self.classifier.n_attributes}"
            )
        if self.scores is not None and tuple(each.attribute for each in self.scores) != self.attributes:
            raise ValueError("the scores are not those of the attributes")
        return self


def _known(values: AttributeScore) -> _Score:
    return _Score(**{name: None if value != value else value for name, value in values._asdict().items()})
