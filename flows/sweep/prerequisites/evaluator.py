"""How trials are evaluated: an evaluator of edits, trained if there is none, and test faces that no trial has seen.

The evaluation spec fixes faces and evaluator, so that all trials of a sweep are measured alike.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from prefect import State, task

from attgan.data.loading.loader import Faces, open_faces
from attgan.data.manifest import to_bytes
from attgan.data.shards import Dataset, open_dataset
from attgan.evaluation.edit_measures import choose_test_faces, edit_faces, measure_edits
from attgan.evaluation.evaluator import Evaluator, fitted, save_evaluator, score
from attgan.models.folder import Folder
from attgan.training.run_folder.plain_json import plain, to_json
from attgan.training.run_folder.progress import OnProgress
from flows.runtime import reporting
from flows.runtime.cluster import capacity, tasks
from flows.runtime.running import cause_of
from flows.runtime.stages import set_torch_threads
from flows.settings import SweepEvaluatorSettings
from flows.storage import join, open_store
from flows.storage.bundles import inspect, open_bundle
from flows.sweep.plan import START, SweepPlan
from flows.sweep.records import EDITED, MEASURES, kept_weights, read_measures
from flows.training.classifier.trial import fitted_classifier, outcome_of
from flows.training.driver import RETRIES, drive
from flows.training.evaluators import open_evaluator
from flows.training.flow import training_task
from flows.training.start import joined_licence

TRAINING = "training"
# Faces in the picture.
SHOWN = 8
_SCHEMA = 1


@dataclass(frozen=True)
class EvaluationSpec:
    """What all trials of a sweep are measured on.

    Attributes:
        dataset: URL of the dataset whose test faces are used.
        evaluator: URL of an evaluator, or of a bundle with a classifier.
        attribute: that the edits set.
        faces: the number of faces without the attribute, at most.
        seed: draws the faces, and chooses the held-out rows if there is no test partition.
        validation_share: the share of held-out rows.
    """

    dataset: str
    evaluator: str
    attribute: str
    faces: int
    seed: int
    validation_share: float


def train_evaluator(settings: SweepEvaluatorSettings, log: reporting.Log) -> dict[str, Any] | State[Any]:
    """Train an evaluator on Ray, and show the progress.

    Returns:
        The outcome, or a failed state with one line.

    Raises:
        UserError: the worker refused.
    """
    training = open_store(join(settings.destination, TRAINING), option="--destination")
    return drive(training_task("train-evaluator", evaluator_trial), settings, training, log)


def evaluator_trial(
    settings: SweepEvaluatorSettings,
    *,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train an evaluator, or resume, and write it. Uses neither Prefect nor Ray.

    Args:
        settings: what to train, and where.
        command: the id of the command that watches this training. Only this command can stop it by the run's marker.
        should_stop: another reason to stop, asked at each step.
        on_progress: called at most every two seconds, and at each validation.

    Returns:
        ``ended`` ("finished" or "stopped"), ``reason`` and ``step``. If it has finished, also ``digest``.

    Raises:
        UserError: a mistake in the settings, or another training in the folder.
        Diverged: the loss is not finite or has exploded.
        StorageError: the storage failed after its retries. The training can resume.
    """
    training = open_store(join(settings.destination, TRAINING), option="--destination")
    fitting = fitted_classifier(
        settings,
        training,
        settings.size,
        settings.attributes,
        command=command,
        should_stop=should_stop,
        on_progress=on_progress,
    )
    with fitting as (faces, trained):
        outcome = outcome_of(trained)
        if trained.classifier is None:
            return outcome
        subset = faces.dataset.manifest.subset.name
        evaluator = Evaluator(
            classifier=trained.classifier,
            names=tuple(settings.attributes),
            scores=trained.scores,
            about=f"trained on the dataset {subset} ({len(faces.training):,} rows, seed {settings.seed})",
            faces=len(faces.held_out),
            licence=joined_licence(None, settings.licence, subset),
        )
        filesystem, path = open_store(settings.destination, option="--destination").filesystem()
        save_evaluator(Folder(path, filesystem), evaluator)
    return outcome | {"digest": evaluator.digest}


@task(name="measure-trial", task_run_name="measure {place}", **RETRIES)
def measure_task(place: str, bundle: str, spec: EvaluationSpec, device: str, threads: int) -> dict[str, Any]:
    """Measure one trial, on Ray."""
    return measure_weights(place, bundle, spec, device=device, threads=threads)


def measure_all(plan: SweepPlan, log: reporting.Log) -> None:
    """Measure every trial that kept weights, and the starting bundle, unless that has been done before.

    A trial that cannot be measured is logged, and has no test numbers in the leaderboard.

    Raises:
        UserError: no node has the resources of a trial.
    """
    settings = plan.settings
    cpus, gpus = settings.cpus_per_trial, settings.gpus_per_trial
    capacity.require(cpus, gpus, settings.node_timeout, log)
    todo = list(calls(plan))
    progress = reporting.Progress("sweep-measured", "bundles measured on the test faces", len(todo), log)
    ended = tasks.run_tasks(measure_task, todo, cpus=cpus, gpus=gpus, node_timeout=settings.node_timeout)
    for call, state in ended:
        if not state.is_completed():
            log.warning("%s is not measured: %s", call["place"], cause_of(state) or state.message)
        progress.advance(1)


def spec_of(plan: SweepPlan) -> EvaluationSpec:
    """The evaluation spec of a sweep."""
    settings, evaluator = plan.settings, plan.places.evaluator or plan.places.bundle
    assert evaluator is not None
    return EvaluationSpec(
        dataset=plan.places.dataset,
        evaluator=evaluator,
        attribute=settings.attribute,
        faces=settings.test_faces,
        seed=settings.seed,
        validation_share=settings.validation_share,
    )


def calls(plan: SweepPlan) -> Iterator[dict[str, Any]]:
    """The arguments of ``measure_weights`` for the starting bundle and for each trial with weights."""
    settings, start = plan.settings, plan.places.bundle
    same = {"spec": spec_of(plan), "device": settings.device, "threads": int(settings.cpus_per_trial)}
    if start is not None:
        yield same | {"place": join(plan.store.url, START), "bundle": start}
    for trial in plan.all_trials():
        kept = kept_weights(plan.folder(trial.number))
        if kept is not None:
            yield same | {"place": trial.url, "bundle": join(trial.url, kept.path)}


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
        the faces; ``evaluator``, its own accuracy on faces of that partition; and ``measured``, the fields of
        :class:`attgan.evaluation.edit_measures.EditMeasures`.

    Raises:
        UserError: a bundle, dataset or evaluator is missing or damaged, or no face lacks the attribute.
        StorageError: the storage failed after its retries.
    """
    set_torch_threads(threads)
    store, info, evaluator = (
        open_store(place, option="--destination"),
        inspect(bundle),
        open_evaluator(spec.evaluator),
    )
    dataset = open_dataset(*open_store(spec.dataset, option="--dataset").filesystem())
    made_of = _made_of(spec, info.digest, evaluator, dataset)
    known = read_measures(store)
    if known is not None and known["made_of"] == made_of:
        return known
    generator = open_bundle(bundle, with_discriminator=False).generator
    names, size = info.config.attributes, generator.config.image_size
    evaluator = fitted(evaluator, names, size, f"--evaluator {spec.evaluator}")
    with open_faces(
        dataset,
        size=size,
        attributes=names,
        seed=spec.seed,
        validation_share=spec.validation_share,
        cache_bytes=0,
        threads=threads,
        # As a paired training, which needs no other label.
        required=[spec.attribute],
    ) as faces:
        chosen = choose_test_faces(faces, spec.attribute, spec.faces, spec.seed)
        images, labels = _arrays(faces, chosen.rows)
        accuracy = _evaluator_accuracy(evaluator, faces, chosen.partition, spec, device)
    measured = measure_edits(generator, evaluator, images, labels, names, spec.attribute, device=device)
    before = images[:SHOWN]
    after = edit_faces(generator, before, labels[:SHOWN], names, spec.attribute, device=device)
    store.put(EDITED, pack_faces(before, after))
    content = {
        "made_of": made_of,
        "partition": chosen.partition,
        "evaluator": accuracy,
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
    choices = {name: value for name, value in asdict(spec).items() if name not in ("dataset", "evaluator")}
    manifest = hashlib.sha256(to_bytes(dataset.manifest)).hexdigest()
    return {
        "schema": _SCHEMA,
        "bundle": bundle,
        "evaluator": evaluator.digest,
        "dataset": manifest,
        **choices,
    }


def _evaluator_accuracy(
    evaluator: Evaluator, faces: Faces, partition: str, spec: EvaluationSpec, device: str
) -> dict[str, Any]:
    """The evaluator's accuracy on unedited faces of the same partition, as many with the attribute as without."""
    rows = np.random.default_rng(spec.seed).permutation(faces.test if partition == "test" else faces.held_out)
    has = faces.labels[rows, faces.attributes.index(spec.attribute)]
    chosen = np.concatenate([rows[has][: spec.faces], rows[~has][: spec.faces]])
    images, labels = _arrays(faces, chosen)
    own = next(
        each for each in score(evaluator, images, labels, device=device) if each.attribute == spec.attribute
    )
    kept = ("recall", "false_positives", "balanced_accuracy")
    return plain(
        {"about": evaluator.about, "faces": len(chosen)} | {name: getattr(own, name) for name in kept}
    )


def _arrays(faces: Faces, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, S, S, 3)`` uint8 and labels ``(N, n)`` float32, NaN where unknown, of these rows."""
    batch = faces.take(rows)
    labels = np.where(faces.unknown[rows], np.float32(np.nan), batch.labels.numpy())
    return batch.images.permute(0, 2, 3, 1).contiguous().numpy(), labels
