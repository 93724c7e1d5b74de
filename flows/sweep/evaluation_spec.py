"""Measure the edits of a trial's weights on faces that no trial has seen.

The evaluation spec fixes faces and evaluator, so that all trials of a sweep are measured alike.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attgan.data.loading.loader import Batch, Faces, open_faces
from attgan.data.manifest import to_bytes
from attgan.data.shards import Dataset, open_dataset
from attgan.evaluation.edit_measures import choose_test_faces, edit_faces, measure_edits
from attgan.evaluation.evaluator import Evaluator, fitted, score
from attgan.training.run_folder.plain_json import plain, to_json
from flows.runtime.stages import set_torch_threads
from flows.storage import open_store
from flows.storage.bundles import inspect, open_bundle
from flows.sweep.folders import read_json
from flows.training.evaluators import open_evaluator

MEASURES = "measures.json"
EDITED = "edited.npz"
# Faces in the picture.
SHOWN = 8
_SCHEMA = 1


@dataclass(frozen=True)
class EvaluationSpec:
    """What all trials of a sweep are measured on.

    Attributes:
        dataset: URL of the dataset whose test faces are used.
        judge: URL of an evaluator, or of a bundle with a classifier.
        attribute: that the edits set.
        faces: the number of faces without the attribute, at most.
        seed: draws the faces, and chooses the held-out rows if there is no test partition.
        validation_share: the share of held-out rows.
    """

    dataset: str
    judge: str
    attribute: str
    faces: int
    seed: int
    validation_share: float


def measure_weights(
    place: str, bundle: str, spec: EvaluationSpec, *, device: str = "cpu", threads: int = 1
) -> dict[str, Any]:
    """Edit the fixed test faces with a bundle, and write ``edited.npz`` and then ``measures.json`` below ``place``.

    An earlier result for the same weights, evaluator and faces is kept.

    Args:
        place: URL of the trial's folder, or of the folder for the starting bundle.
        bundle: URL of the weights.
        spec: the evaluation spec.
        device: "cpu" or "cuda".
        threads: that torch may use.

    Returns:
        The content of ``measures.json``: ``made_of``, the digests and choices that decide the numbers; ``partition`` of
        the faces; ``judge``, the evaluator's own accuracy on faces of that partition; and ``measured``, the fields of
        :class:`attgan.evaluation.edit_measures.EditMeasures`.

    Raises:
        UserError: a bundle, dataset or evaluator is missing or damaged, or no face lacks the attribute.
        StorageError: the storage failed after its retries.
    """
    set_torch_threads(threads)
    store, info, evaluator = (
        open_store(place, option="--destination"),
        inspect(bundle),
        open_evaluator(spec.judge),
    )
    dataset = open_dataset(*open_store(spec.dataset, option="--dataset").filesystem())
    made_of = _made_of(spec, info.digest, evaluator, dataset)
    known = read_json(store, MEASURES)
    if known is not None and known["made_of"] == made_of:
        return dict(known)
    generator = open_bundle(bundle, with_discriminator=False).generator
    names, size = info.config.attributes, generator.config.image_size
    evaluator = fitted(evaluator, names, size, f"--judge {spec.judge}")
    with open_faces(
        dataset,
        size=size,
        attributes=names,
        seed=spec.seed,
        validation_share=spec.validation_share,
        cache_bytes=0,
        threads=threads,
    ) as faces:
        chosen = choose_test_faces(faces, spec.attribute, spec.faces, spec.seed)
        images, labels = _arrays(faces.take(chosen.rows))
        accuracy = _evaluator_accuracy(evaluator, faces, chosen.partition, spec, device)
    measured = measure_edits(generator, evaluator, images, labels, names, spec.attribute, device=device)
    before = images[:SHOWN]
    after = edit_faces(generator, before, labels[:SHOWN], names, spec.attribute, device=device)
    store.put(EDITED, pack_faces(before, after))
    content = {
        "made_of": made_of,
        "partition": chosen.partition,
        "judge": accuracy,
        "measured": plain(asdict(measured)),
    }
    store.put(MEASURES, to_json(content, indent=1))
    return content


def pack_faces(original: np.ndarray, edited: np.ndarray) -> bytes:
    """Pack two ``(N, S, S, 3)`` uint8 arrays as the content of ``edited.npz``. Equal faces give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, original=original, edited=edited)
    return buffer.getvalue()


def unpack_faces(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Unpack the originals and their edits from the content of ``edited.npz``, without unpickling."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["original"], arrays["edited"]


def _made_of(spec: EvaluationSpec, bundle: str, evaluator: Evaluator, dataset: Dataset) -> dict[str, Any]:
    """Everything that decides the numbers. Without URLs, so that a sweep that was moved is not measured again."""
    choices = {name: value for name, value in asdict(spec).items() if name not in ("dataset", "judge")}
    manifest = hashlib.sha256(to_bytes(dataset.manifest)).hexdigest()
    return {"schema": _SCHEMA, "bundle": bundle, "judge": evaluator.digest, "dataset": manifest, **choices}


def _evaluator_accuracy(
    evaluator: Evaluator, faces: Faces, partition: str, spec: EvaluationSpec, device: str
) -> dict[str, Any]:
    """The evaluator's accuracy on unedited faces of the same partition, as many with the attribute as without."""
    rows = np.random.default_rng(spec.seed).permutation(faces.test if partition == "test" else faces.held_out)
    has = faces.labels[rows, faces.attributes.index(spec.attribute)]
    chosen = np.concatenate([rows[has][: spec.faces], rows[~has][: spec.faces]])
    images, labels = _arrays(faces.take(chosen))
    own = next(
        each for each in score(evaluator, images, labels, device=device) if each.attribute == spec.attribute
    )
    kept = ("recall", "false_positives", "balanced_accuracy")
    return plain(
        {"about": evaluator.about, "faces": len(chosen)} | {name: getattr(own, name) for name in kept}
    )


def _arrays(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, S, S, 3)`` uint8 and labels ``(N, n)`` float32."""
    return batch.images.permute(0, 2, 3, 1).contiguous().numpy(), batch.labels.numpy()
