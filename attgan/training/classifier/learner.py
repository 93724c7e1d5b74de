"""The attribute classifier in the training loop: its steps, validations, checkpoints and curves."""

import math
from collections.abc import Generator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attgan.data.loading.loader import Batch, Faces
from attgan.data.transforms import to_float
from attgan.evaluation.attribute_scores import AttributeScore, attribute_scores, mean_scores
from attgan.evaluation.plots.curves import Panel, draw_curves
from attgan.models import AttributeClassifier, ClassifierConfig, fresh
from attgan.randomness import generator_for
from attgan.training.classifier.augmentation import Augmentation
from attgan.training.classifier.config import ClassifierTraining
from attgan.training.device import placed
from attgan.training.early_stopping import EarlyStopping
from attgan.training.learner import Stepped
from attgan.training.losses import attribute_loss
from attgan.training.networks import moments, put_moments, set_rate, snapshot
from attgan.training.run_folder.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from attgan.training.run_folder.metrics_log import MetricsLog, Row
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.pictures import CURVES
from attgan.training.run_folder.state import Best, State

# Fewest steps between two validations.
_CHECK_EVERY = 100
# Share of the steps in which the learning rate rises.
_WARMUP = 0.1
# Images per pass of a validation.
_BATCH = 256


class ClassifierLearner:
    """A classifier's training as :class:`attgan.training.learner.Learner`, whose docstrings apply.

    Attributes:
        config: the settings.
        network: in training mode, on the device.
        steps: of the whole run, at most.
        held_out: the faces that are validated on.
    """

    def __init__(
        self,
        faces: Faces,
        config: ClassifierTraining,
        settings: ClassifierConfig,
        device: torch.device,
        augmentation: Augmentation,
    ) -> None:
        """A fresh network, the same for the same seed."""
        self.config = config
        self.network = fresh(AttributeClassifier, settings, config.seed)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.held_out = faces.take(_held_out_rows(faces, config))
        self._adam = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._faces, self._device, self._augmentation = faces, device, augmentation
        self._per_epoch = len(faces.training) // config.batch_size
        most = max(config.epochs * self._per_epoch, config.min_steps)
        self.steps = min(most, config.max_steps or most)

    def epoch(self, done: int) -> float:  # noqa: D102
        return done / self._per_epoch

    def is_check(self, done: int) -> bool:
        """Validate after each pass, but not more often than every 100 steps, and after the last step."""
        every = max(self._per_epoch, _CHECK_EVERY)
        return done > 0 and (done % every == 0 or done == self.steps)

    def opening(self, state: State) -> str:  # noqa: D102
        words = f"{self.steps:,} steps, {self._per_epoch:,} in a pass over the images"
        return words if state.resumed_from is None else f"{words}; resumed after step {state.resumed_from:,}"

    def open_steps(self, state: State) -> Generator[Stepped, None, None]:  # noqa: D102
        config, start = self.config, state.step
        batches = self._faces.batches(
            self._faces.training,
            config.batch_size,
            seed=config.seed,
            name="classifier",
            start=start,
            flip=config.flip and not self._augmentation.mirrors,
            pin=self._device.type == "cuda",
        )
        with closing(placed(batches, self._device)) as on_device:
            for step, batch in enumerate(on_device, start):
                shown = self._augmentation.show(batch, step)
                rate = learning_rate(config, step, self.steps)
                loss = self.descend(shown.images, shown.labels, rate, shown.known)
                yield Stepped("classifier", rate, {"loss": loss})

    def descend(self, images: Tensor, labels: Tensor, rate: float, known: Tensor | None = None) -> Tensor:
        """One step at the learning rate ``rate``, on (N, 3, S, S) images in [-1, 1] and (N, n) labels in {0, 1}.

        With ``known`` (N, n) bool only those labels count.

        Returns:
            The loss, still on the device.
        """
        self._adam.zero_grad()
        loss = attribute_loss(self.network(images), labels, known)
        loss.backward()
        set_rate(self._adam, rate)
        self._adam.step()
        return loss.detach()

    def validate(self, state: State) -> bool:  # noqa: D102
        loss, scores = self.measure()
        means = mean_scores(scores)
        state.numbers = {
            "loss": loss,
            "classifier_accuracy": means["accuracy"],
            "balanced_accuracy": means["balanced_accuracy"],
        }
        state.checked = state.step
        state.rule = state.rule.after(state.numbers, epoch_end=False)
        better = state.best is None or loss < state.best.numbers["loss"]
        if better:
            state.best = Best(state.step, state.numbers, {"classifier": snapshot(self.network)})
        return better

    def measure(self) -> tuple[float, tuple[AttributeScore, ...]]:
        """Loss and scores of the network as it is, on the held-out faces."""
        labels = self.held_out.labels
        logits = logits_of(self.network, self.held_out).cpu()
        known = ~self._faces.unknown[self.held_out.rows]
        loss = attribute_loss(logits, labels, torch.from_numpy(known)).item()
        predicted = (logits > 0).numpy()
        return loss, attribute_scores(predicted, labels.numpy() > 0.5, self._faces.attributes, known)

    def load(self, folder: OwnedFolder) -> State:
        """The last saved state, loaded into the network; the initial one if there is none.

        Raises:
            UserError: there are checkpoints, and all are damaged.
        """
        rule = EarlyStopping(self.config.patience, measure="loss", counts="validations")
        checkpoint = read_checkpoint(folder)
        if checkpoint is None:
            return State(0, -1, {}, rule)
        self.network.load_state_dict(checkpoint.tensors["classifier"])
        put_moments(self.network, self._adam, checkpoint.tensors["adam"])
        memory: dict[str, Any] = dict(checkpoint.memory)
        step, loss, best = checkpoint.step, memory["best_loss"], None
        if memory["best_step"]:
            best = Best(memory["best_step"], {"loss": loss}, {"classifier": checkpoint.tensors["best"]})
        # A checkpoint is only written after the validation of its step.
        return State(
            step=step,
            checked=step,
            numbers={},
            rule=rule.restored({"best": loss, "waited": memory["waited"]}),
            best=best,
            resumed_from=step,
            saved=step,
        )

    def save(self, folder: OwnedFolder, state: State) -> None:
        """Write a checkpoint, see :func:`attgan.training.run_folder.checkpoint.write_checkpoint`."""
        best, rule = state.best, state.rule.to_json()
        tensors = {"classifier": self.network.state_dict(), "adam": moments(self.network, self._adam)}
        # Before the first validation the file holds the network as it is, which is not used.
        tensors["best"] = tensors["classifier"]
        if best is not None and best.networks is not None:
            tensors["best"] = dict(best.networks["classifier"])
        memory: dict[str, Any] = {
            "best_step": best.step if best else 0,
            "best_loss": rule["best"],
            "waited": rule["waited"],
        }
        write_checkpoint(folder, Checkpoint(state.step, tensors, memory))
        state.saved = state.step

    def draw(self, folder: OwnedFolder, step: int) -> None:
        """There are no edited faces to show."""

    def draw_curves(self, folder: OwnedFolder, log: MetricsLog) -> None:  # noqa: D102
        steps, checks = log.of("step"), log.of("check")
        losses = {"each step": _points(steps, "loss"), "held out": _points(checks, "loss")}
        accuracies = {
            "all faces": _points(checks, "classifier_accuracy"),
            "balanced": _points(checks, "balanced_accuracy"),
        }
        panels = [Panel("Loss", losses), Panel("Held-out accuracy, mean of the attributes", accuracies)]
        folder.write(CURVES, draw_curves(panels))


def learning_rate(config: ClassifierTraining, step: int, steps: int) -> float:
    """A linear rise, then half a cosine down to 0; ``step`` counts from 0."""
    rising = max(1, round(_WARMUP * steps))
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    return config.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


@torch.no_grad()
def logits_of(network: AttributeClassifier, batch: Batch) -> Tensor:
    """Logits (m, n) of a batch of any size, in evaluation mode, in parts of a fixed size."""
    network.eval()
    device = next(network.parameters()).device
    parts = [to_float(part.to(device)) for part in batch.images.split(_BATCH)]
    logits = torch.cat([network(part) for part in parts])
    network.train()
    return logits


def _held_out_rows(faces: Faces, config: ClassifierTraining) -> np.ndarray:
    """The held-out rows to validate on: at most ``validation_images`` of them, drawn by the seed."""
    order = torch.randperm(
        len(faces.held_out), generator=generator_for(config.seed, "held-out rows", 0)
    ).numpy()
    return np.sort(faces.held_out[order[: config.validation_images]])


def _points(rows: list[Row], name: str) -> list[tuple[float, float]]:
    """A curve over the steps. Numbers that were not finite are null in the rows, and left out."""
    return [(row["step"], row[name]) for row in rows if row[name] is not None]
