"""The state of a classifier's training, its checkpoint, and one training step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attgan.data.loading.loader import Batch
from attgan.errors import Diverged
from attgan.models import AttributeClassifier, ClassifierConfig, fresh
from attgan.models.folder import Folder
from attgan.training.classifier.config import ClassifierTraining
from attgan.training.losses import attribute_loss
from attgan.training.networks import moments, put_moments, set_rate, snapshot
from attgan.training.run_folder.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from attgan.training.transfer import to_float

# Share of the steps in which the learning rate rises.
_WARMUP = 0.1
# Images per pass of a validation.
_BATCH = 256


@dataclass
class Learner:
    """The state of a run.

    Attributes:
        network: in training mode, on ``device``.
        adam: of its parameters.
        device: of both.
        best: the network's tensors after ``best_step``, where the held-out loss was lowest.
        step: steps done.
        best_step, best_loss: of the best validation so far; 0 and infinity before the first.
        waited: validations since then.
        kept: the step of the last checkpoint; None before the first.
    """

    network: AttributeClassifier
    adam: torch.optim.AdamW
    device: torch.device
    best: Mapping[str, Tensor]
    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    waited: int = 0
    kept: int | None = None

    @property
    def kept_words(self) -> str:
        """What is left of a run that ends now, as a clause."""
        return (
            "no state was kept" if self.kept is None else f"the last good state is kept, of step {self.kept}"
        )

    def record_validation(self, loss: float) -> None:
        """Remember the network as it is if its held-out loss is the lowest so far."""
        if loss < self.best_loss:
            self.best, self.best_loss = snapshot(self.network), loss
            self.best_step, self.waited = self.step, 0
        else:
            self.waited += 1


def begin_or_resume(
    folder: Folder, config: ClassifierTraining, settings: ClassifierConfig, device: torch.device
) -> Learner:
    """A fresh learner, the same for the same seed; or the one kept last in the run's folder.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    network = fresh(AttributeClassifier, settings, config.seed)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        return Learner(network, adam, device, snapshot(network))
    network.load_state_dict(checkpoint.tensors["classifier"])
    put_moments(network, adam, checkpoint.tensors["adam"])
    memory: dict[str, Any] = dict(checkpoint.memory)
    if memory["best_loss"] is None:
        memory["best_loss"] = math.inf
    step = checkpoint.step
    return Learner(network, adam, device, checkpoint.tensors["best"], step, kept=step, **memory)


def keep(folder: Folder, learner: Learner) -> None:
    """Write a checkpoint, see :func:`attgan.training.run_folder.checkpoint.write_checkpoint`."""
    memory: dict[str, Any] = {
        "best_step": learner.best_step,
        "best_loss": learner.best_loss if learner.best_step else None,
        "waited": learner.waited,
    }
    tensors = {
        "classifier": learner.network.state_dict(),
        "adam": moments(learner.network, learner.adam),
        "best": learner.best,
    }
    try:
        write_checkpoint(folder, Checkpoint(learner.step, tensors, memory))
    except Diverged as error:
        raise Diverged(f"{error}; {learner.kept_words}") from None
    learner.kept = learner.step


def descend(
    learner: Learner, images: Tensor, labels: Tensor, rate: float, known: Tensor | None = None
) -> Tensor:
    """One step at the learning rate ``rate``, on (N, 3, S, S) images in [-1, 1] and (N, n) labels in {0, 1}.

    With ``known`` (N, n) bool only those labels count.

    Returns:
        The loss, still on the device.
    """
    learner.adam.zero_grad()
    loss = attribute_loss(learner.network(images), labels, known)
    loss.backward()
    set_rate(learner.adam, rate)
    learner.adam.step()
    learner.step += 1
    return loss.detach()


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
