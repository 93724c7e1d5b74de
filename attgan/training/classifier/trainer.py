"""Training of the attribute classifier: one short run with a one-cycle learning rate; the best state is the result.

By default faces are only mirrored. Shifts of up to 4 pixels and changes of brightness made the classifier worse on
22,780 real faces in equal time (Eyeglasses 0.975 instead of 0.984 after 13 passes): the faces are aligned, and the
network is small. Six passes are enough for so many faces: in a run of twelve, the fifth was the best.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from attgan.data.loading.loader import Faces
from attgan.data.manifest import to_bytes
from attgan.errors import Diverged, UserError
from attgan.evaluation.attribute_scores import AttributeScore
from attgan.models import AttributeClassifier, ClassifierConfig, from_tensors
from attgan.models.folder import Folder
from attgan.training.classifier.augmentation import make_augmentation
from attgan.training.classifier.config import ClassifierTraining
from attgan.training.classifier.learner import ClassifierLearner
from attgan.training.loop import run
from attgan.training.run_folder.ownership import take_over
from attgan.training.run_folder.progress import OnProgress
from attgan.training.run_folder.run_files import ConfigFingerprint, begin


@dataclass(frozen=True)
class Fitted:
    """How a classifier's training ended.

    Attributes:
        ended: "finished", or "stopped" on demand; it can be resumed.
        reason: one line.
        step: steps done, those before the run was resumed included.
        resumed_from: the step at which this call resumed the run; None if it started it.
        best_step: the step after which the held-out loss was lowest; None when stopped.
        classifier: at that step, in evaluation mode on the CPU; None when stopped.
        scores: of the held-out faces; empty when stopped.
    """

    ended: Literal["finished", "stopped"]
    reason: str
    step: int
    resumed_from: int | None = None
    best_step: int | None = None
    classifier: AttributeClassifier | None = None
    scores: tuple[AttributeScore, ...] = ()


def fit_classifier(
    faces: Faces,
    config: ClassifierTraining,
    folder: Folder,
    *,
    bundle: str | None = None,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
    keep_pairs: Path | None = None,
) -> Fitted:
    """Train a classifier. A run that was stopped or killed is resumed, on a CPU with the same result to the bit.

    Args:
        faces: the data; its attributes and its size are the classifier's.
        config: settings; a run is not resumed with others.
        folder: of the run: its checkpoints, ``metrics.jsonl`` and ``progress.json``.
        bundle: digest of the bundle that the classifier is for, if any; a run is not resumed for another bundle.
        device: ``cpu``, ``cuda`` …
        on_progress: called every two seconds and at each validation.
        should_stop: called before each step; if it returns True the state is saved and the call returns.
        keep_pairs: a folder on this machine's disk where rendered pairs are kept.

    Raises:
        UserError: fewer images than a batch, none held out, the folder holds another run, the disk is full, or
            another process has taken over the run.
        Diverged: the loss was not finite, or exploded. The last good state stays saved.
        OSError: what the filesystem reports.
    """
    check_rows(faces, config)
    begin(folder, classifier_fingerprint(faces, config, bundle))
    settings = _network_settings(faces, config)
    owned = take_over(folder)
    augmentation = make_augmentation(faces, config, keep_pairs)
    learner = ClassifierLearner(faces, config, settings, torch.device(device), augmentation)
    try:
        ending = run(learner, owned, on_progress, should_stop)
    except Diverged as error:
        raise Diverged(f"{error}; a --learning-rate below {config.learning_rate:g} may help") from None
    state, reason = ending.state, ending.reason
    if reason is None:
        ending.watch.end(state, "stopped", "")
        return Fitted("stopped", "stopped on demand", state.step, state.resumed_from)
    ending.watch.end(state, "finished", reason)
    # There was a validation after the last step at least.
    assert state.best is not None
    assert state.best.networks is not None
    best = state.best.networks["classifier"]
    learner.network.load_state_dict(best)
    _, scores = learner.measure()
    on_cpu = {name: tensor.cpu() for name, tensor in best.items()}
    classifier = from_tensors(AttributeClassifier, settings, on_cpu, folder.path)
    return Fitted("finished", reason, state.step, state.resumed_from, state.best.step, classifier, scores)


def check_rows(faces: Faces, config: ClassifierTraining) -> None:
    """Check that there are enough images.

    Raises:
        UserError: fewer images than a batch, or none held out.
    """
    if config.batch_size > len(faces.training):
        raise UserError(
            "batch-too-large",
            f"--batch-size {config.batch_size}: there are {len(faces.training):,} images to train on",
        )
    if not len(faces.held_out):
        raise UserError(
            "held-out-rows-missing",
            "--validation-share: no image is held out, and the classifier is validated on held-out images",
        )


def classifier_fingerprint(faces: Faces, config: ClassifierTraining, bundle: str | None) -> ConfigFingerprint:
    """What decides a run's result: equal fingerprints give equal results.

    Args:
        faces, config: data and settings.
        bundle: digest of the bundle that the classifier is for, if any. The weights do not depend on it, but the
            bundle that the run writes at the end does.
    """
    data = {
        "manifest": hashlib.sha256(to_bytes(faces.dataset.manifest)).hexdigest(),
        "size": faces.size,
        "attributes": list(faces.attributes),
    }
    chosen = config.model_dump(mode="json", include=set(ClassifierTraining.model_fields))
    start = {
        "classifier": _network_settings(faces, config).model_dump(mode="json", exclude={"unsure"}),
        "bundle": bundle,
    }
    return {"kind": "classifier", "schema_version": 1, "settings": chosen, "data": data, "start": start}


def _network_settings(faces: Faces, config: ClassifierTraining) -> ClassifierConfig:
    return ClassifierConfig(n_attributes=len(faces.attributes), image_size=faces.size, width=config.width)
