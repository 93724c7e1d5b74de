"""What a trial's weights do to faces that no trial has seen: the same faces, the same judge for every trial."""

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
SHOWN = 8  # faces in the picture
_SCHEMA = 1


@dataclass(frozen=True)
class Exam:
    """What all trials of a sweep are measured on.

    Attributes:
        dataset: URL of the dataset whose test faces are taken.
        judge: URL of a judge, or of a bundle with a classifier.
        attribute: that the edits set.
        faces: at most so many, of those without it.
        seed: by which they are drawn, and by which rows are held out where there is no test partition.
        validation_share: the share of such rows.
    """

    dataset: str
    judge: str
    attribute: str
    faces: int
    seed: int
    validation_share: float


def measure_weights(
    place: str, bundle: str, exam: Exam, *, device: str = "cpu", threads: int = 1
) -> dict[str, Any]:
    """Edit the fixed test faces with a bundle, and write ``edited.npz`` and then ``measures.json`` below ``place``.

    What is there already for the same weights, judge and faces is left alone.

    Args:
        place: URL of the trial's folder, or of the folder for the starting bundle.
        bundle: URL of the weights.
        exam: what they are measured on.
        device: "cpu" or "cuda".
        threads: that torch may use.

    Returns:
        The content of ``measures.json``: ``made_of``, the digests and choices that the numbers follow from;
        ``partition`` of the faces; ``judge``, how well it recognises the attribute itself on faces of that partition;
        and ``measured``, as :class:`attgan.evaluation.edit_measures.EditMeasures` has it.

    Raises:
        UserError: no such bundle, dataset or judge, a damaged one, or no face without the attribute.
        StorageError: the storage failed after its retries.
    """
    set_torch_threads(threads)
    store, info, judge = (
        open_store(place, option="--destination"),
        inspect(bundle),
        open_evaluator(exam.judge),
    )
    dataset = open_dataset(*open_store(exam.dataset, option="--dataset").filesystem())
    made_of = _made_of(exam, info.digest, judge, dataset)
    known = read_json(store, MEASURES)
    if known is not None and known["made_of"] == made_of:
        return dict(known)
    generator = open_bundle(bundle, with_discriminator=False).generator
    names, size = info.config.attributes, generator.config.image_size
    judge = fitted(judge, names, size, f"--judge {exam.judge}")
    with open_faces(
        dataset,
        size=size,
        attributes=names,
        seed=exam.seed,
        validation_share=exam.validation_share,
        cache_bytes=0,
        threads=threads,
    ) as faces:
        chosen = choose_test_faces(faces, exam.attribute, exam.faces, exam.seed)
        images, labels = _arrays(faces.take(chosen.rows))
        judged = _judge_itself(judge, faces, chosen.partition, exam, device)
    measured = measure_edits(generator, judge, images, labels, names, exam.attribute, device=device)
    before = images[:SHOWN]
    after = edit_faces(generator, before, labels[:SHOWN], names, exam.attribute, device=device)
    store.put(EDITED, pack_faces(before, after))
    content = {
        "made_of": made_of,
        "partition": chosen.partition,
        "judge": judged,
        "measured": plain(asdict(measured)),
    }
    store.put(MEASURES, to_json(content, indent=1))
    return content


def pack_faces(original: np.ndarray, edited: np.ndarray) -> bytes:
    """Two ``(N, S, S, 3)`` uint8 as the content of ``edited.npz``; equal faces give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, original=original, edited=edited)
    return buffer.getvalue()


def unpack_faces(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The originals and their edits, out of the content of ``edited.npz``; nothing is unpickled."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["original"], arrays["edited"]


def _made_of(exam: Exam, bundle: str, judge: Evaluator, dataset: Dataset) -> dict[str, Any]:
    """What the numbers follow from: no addresses, so that a sweep that was moved is not measured again."""
    choices = {name: value for name, value in asdict(exam).items() if name not in ("dataset", "judge")}
    manifest = hashlib.sha256(to_bytes(dataset.manifest)).hexdigest()
    return {"schema": _SCHEMA, "bundle": bundle, "judge": judge.digest, "dataset": manifest, **choices}


def _judge_itself(judge: Evaluator, faces: Faces, partition: str, exam: Exam, device: str) -> dict[str, Any]:
    """How the judge does on unedited faces of the same partition: so many with the attribute, so many without."""
    rows = np.random.default_rng(exam.seed).permutation(faces.test if partition == "test" else faces.held_out)
    has = faces.labels[rows, faces.attributes.index(exam.attribute)]
    chosen = np.concatenate([rows[has][: exam.faces], rows[~has][: exam.faces]])
    images, labels = _arrays(faces.take(chosen))
    own = next(
        each for each in score(judge, images, labels, device=device) if each.attribute == exam.attribute
    )
    kept = ("recall", "false_positives", "balanced_accuracy")
    return plain({"about": judge.about, "faces": len(chosen)} | {name: getattr(own, name) for name in kept})


def _arrays(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, S, S, 3)`` uint8 and labels ``(N, n)`` float32."""
    return batch.images.permute(0, 2, 3, 1).contiguous().numpy(), batch.labels.numpy()
