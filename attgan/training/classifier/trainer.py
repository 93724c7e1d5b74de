"""Training of the attribute classifier: one short run with a one-cycle learning rate; the best state is the result.

By default faces are only mirrored. Shifts of up to 4 pixels and changes of brightness made the classifier worse on
22,780 real faces in equal time (Eyeglasses 0.975 instead of 0.984 after 13 passes): the faces are aligned, and the
network is small. Six passes are enough for so many faces: in a run of twelve, the fifth was the best.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from attgan.data.loading.loader import Faces
from attgan.data.manifest import to_bytes
from attgan.errors import Diverged, UserError
from attgan.evaluation.attribute_scores import AttributeScore, attribute_scores, mean_scores
from attgan.evaluation.plots.curves import Panel, draw_curves
from attgan.models import AttributeClassifier, ClassifierConfig, from_tensors
from attgan.models.folder import Folder
from attgan.training.classifier.augmentation import Augmentation, make_augmentation
from attgan.training.classifier.config import ClassifierTraining
from attgan.training.classifier.learner import (
    Learner,
    begin_or_resume,
    descend,
    keep,
    learning_rate,
    logits_of,
)
from attgan.training.losses import attribute_loss
from attgan.training.randomness import generator_for
from attgan.training.run_folder.metrics_log import MetricsLog, Row
from attgan.training.run_folder.ownership import OwnedFolder, take_over
from attgan.training.run_folder.progress import OnProgress, Progress, Reporter
from attgan.training.run_folder.run_files import ConfigFingerprint, begin
from attgan.training.transfer import placed

# Fewest steps between two validations.
_CHECK_EVERY = 100
_NUMBERS = ("loss", "classifier_accuracy", "balanced_accuracy")


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
        should_stop: called after each step; if it returns True the state is saved and the call returns.
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
    learner = begin_or_resume(owned, config, settings, torch.device(device))
    resumed_from = learner.step or None
    run = _Run(faces, config, owned, learner, on_progress, make_augmentation(faces, config, keep_pairs))
    try:
        reason = run.train(should_stop or (lambda: False))
    except Diverged as error:
        run.report("diverged", str(error))
        raise
    if reason is None:
        run.report("stopped")
        return Fitted("stopped", "stopped on demand", learner.step, resumed_from)
    if not learner.best_step:
        raise Diverged(
            f"{folder.path}: no validation had a finite loss; {learner.kept_words}, but none to be a result: start "
            "anew in another folder"
        )
    run.report("finished", reason)
    best = {name: tensor.cpu() for name, tensor in learner.best.items()}
    classifier = from_tensors(AttributeClassifier, settings, best, folder.path)
    learner.network.load_state_dict(learner.best)
    said = (logits_of(learner.network, run.validation_batch) > 0).cpu().numpy()
    known = ~faces.unknown[run.validation_batch.rows]
    scores = attribute_scores(said, run.validation_batch.labels.numpy() > 0.5, faces.attributes, known)
    return Fitted("finished", reason, learner.step, resumed_from, learner.best_step, classifier, scores)


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


class _Run:
    """The training loop, with its validations and reports."""

    def __init__(
        self,
        faces: Faces,
        config: ClassifierTraining,
        folder: OwnedFolder,
        learner: Learner,
        on_progress: OnProgress | None,
        augmentation: Augmentation,
    ) -> None:
        self._augmentation = augmentation
        self._faces, self._config, self._folder, self._learner = faces, config, folder, learner
        self._per_epoch = len(faces.training) // config.batch_size
        most = max(config.epochs * self._per_epoch, config.min_steps)
        self._steps = min(most, config.max_steps or most)
        self._check_every = max(self._per_epoch, _CHECK_EVERY)
        self._log = MetricsLog(folder, learner.step or None)
        self._reporter = Reporter(folder, on_progress)
        # Learning rate and loss of the last steps; the losses are still on the device.
        self._unread: list[tuple[float, Tensor]] = []
        self.validation_batch = faces.take(_held_out_rows(faces, config))

    def train(self, should_stop: Callable[[], bool]) -> str | None:
        """Train to the end. Returns why it ended, or None if it was stopped."""
        learner, config = self._learner, self._config
        self.report("training", f"{self._steps:,} steps, {self._per_epoch:,} in a pass over the images")
        batches = self._faces.batches(
            self._faces.training,
            config.batch_size,
            seed=config.seed,
            name="classifier",
            start=learner.step,
            flip=config.flip and not config.augment,
            pin=learner.device.type == "cuda",
        )
        batches_there = placed(batches, learner.device)
        while (reason := self._reason()) is None:
            batch = next(batches_there)
            rate = learning_rate(config, learner.step, self._steps)
            shown = self._augmentation.show(batch, learner.step)
            loss = descend(learner, shown.images, shown.labels, rate, shown.known)
            self._unread.append((rate, loss))
            self._reporter.count(config.batch_size)
            if learner.step % self._check_every == 0 or learner.step == self._steps:
                self._check()
                self._keep()
                _write_curves(self._folder, self._log)
                self.report("training")
            elif config.checkpoint_every and learner.step % config.checkpoint_every == 0:
                self._keep()
            elif learner.step % config.log_every == 0:
                self._read_losses()
            if self._reporter.due:
                self.report("training")
            if should_stop() and self._reason() is None:
                self._keep()
                return None
        return reason

    def report(self, state: Literal["training", "finished", "stopped", "diverged"], note: str = "") -> None:
        """Report the progress now."""
        rows, checks = self._log.of("step"), self._log.of("check")
        losses = {"classifier/total": rows[-1]["loss"]} if rows and rows[-1]["loss"] is not None else {}
        last = checks[-1] if checks else {}
        check = {name: last[name] for name in _NUMBERS if last.get(name) is not None}
        epoch = self._learner.step / self._per_epoch
        self._reporter.report(
            Progress(state, self._learner.step, self._steps, epoch, 0.0, losses, check, note)
        )

    def _reason(self) -> str | None:
        if self._learner.step >= self._steps:
            return f"all {self._steps:,} steps done"
        if self._config.patience and self._learner.waited >= self._config.patience:
            return f"no better loss in {self._learner.waited} validations"
        return None

    def _check(self) -> None:
        """Validate, and keep a copy of the network if its loss is the best so far."""
        learner, labels = self._learner, self.validation_batch.labels
        self._read_losses()
        logits = logits_of(learner.network, self.validation_batch).cpu()
        known = ~self._faces.unknown[self.validation_batch.rows]
        loss = attribute_loss(logits, labels, torch.from_numpy(known)).item()
        said = (logits > 0).numpy()
        scores = attribute_scores(said, labels.numpy() > 0.5, self._faces.attributes, known)
        means = mean_scores(scores)
        numbers = zip(_NUMBERS, (loss, means["accuracy"], means["balanced_accuracy"]), strict=True)
        self._log.add({"kind": "check", "step": learner.step, **dict(numbers)})
        if not math.isfinite(loss):
            raise self._diverged(f"the held-out loss after step {learner.step}", loss)
        learner.record_validation(loss)

    def _diverged(self, what: str, loss: float) -> Diverged:
        return Diverged(
            f"{what} is {loss:g}: the classifier diverged; {self._learner.kept_words}; "
            f"a --learning-rate below {self._config.learning_rate:g} may help"
        )

    def _keep(self) -> None:
        """Save the state, once its losses are known to be finite."""
        self._read_losses()
        self._log.flush()
        keep(self._folder, self._learner)

    def _read_losses(self) -> None:
        """Bring the last steps' losses to the host, all at once.

        Raises:
            Diverged: one is not finite, or exploded.
        """
        if not self._unread:
            return
        rates, losses = zip(*self._unread, strict=True)
        self._unread = []
        first = self._learner.step - len(losses) + 1
        for step, (rate, loss) in enumerate(zip(rates, torch.stack(losses).tolist(), strict=True), first):
            if not loss <= self._config.explode_above:
                raise self._diverged(f"the loss of step {step}", loss)
            self._log.add({"kind": "step", "step": step, "learning_rate": rate, "loss": loss})


def _write_curves(folder: Folder, log: MetricsLog) -> None:
    steps, checks = log.of("step"), log.of("check")
    losses = {"each step": _points(steps, "loss"), "held out": _points(checks, "loss")}
    accuracies = {
        "all faces": _points(checks, "classifier_accuracy"),
        "balanced": _points(checks, "balanced_accuracy"),
    }
    panels = [Panel("Loss", losses), Panel("Held-out accuracy, mean of the attributes", accuracies)]
    folder.write("curves.png", draw_curves(panels))


def _points(rows: list[Row], name: str) -> list[tuple[float, float]]:
    """A curve over the steps. Numbers that were not finite are null in the rows, and left out."""
    return [(row["step"], row[name]) for row in rows if row[name] is not None]


def _held_out_rows(faces: Faces, config: ClassifierTraining) -> np.ndarray:
    """The held-out rows to validate on: at most ``validation_images`` of them, drawn by the seed."""
    order = torch.randperm(
        len(faces.held_out), generator=generator_for(config.seed, "held-out rows", 0)
    ).numpy()
    return np.sort(faces.held_out[order[: config.validation_images]])
