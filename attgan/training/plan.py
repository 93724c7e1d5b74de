"""Everything that the training loop needs, made before the first step."""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from attgan.data.loading.loader import Faces
from attgan.models import AttributeClassifier, Discriminator, Generator
from attgan.training.config import LoopConfig
from attgan.training.early_stopping import StopRule
from attgan.training.losses import LossWeights
from attgan.training.networks import Networks
from attgan.training.paired.losses import PairedWeights
from attgan.training.paired.pairs import PairBatch, Pairs
from attgan.training.schedule import StepSchedule
from attgan.training.strategies import Strategy
from attgan.training.validation import HeldOut, sees_edits


@dataclass(frozen=True)
class Card:
    """What the result bundle holds besides the networks.

    Attributes:
        licence: one line on what the weights may be used for.
        about: data and training, Markdown.
        classifier: the starting bundle's, of the same attributes. It is passed on unchanged.
    """

    licence: str
    about: str
    classifier: AttributeClassifier | None = None


@dataclass(frozen=True)
class PairedData:
    """The pairs of faces without and with glasses that the paired strategy learns from.

    Attributes:
        pairs: of the faces to train on.
        held_out: fixed pairs of held-out faces, for validation.
        weights: of the losses.
        flip: whether every second pair is mirrored.
    """

    pairs: Pairs
    held_out: list[PairBatch]
    weights: PairedWeights
    flip: bool


@dataclass(frozen=True)
class TrainingPlan:
    """A training or an alignment.

    Attributes:
        config: its settings.
        strategy: which images each network sees, with which targets.
        attribute: column of the attribute that is trained; None in an alignment, which trains all alike.
        weights: of the losses.
        generator_warmup: epochs.
        networks: as they are at the start.
        faces: the data.
        source_rows, real_rows: dataset rows of the two streams.
        table: the step schedule.
        held_out: the faces that are validated on.
        rule: when to stop early.
        card: for the result bundle.
        evaluator: classifies edited faces, on the device, in evaluation mode; None: the discriminator does.
        paired: data of the paired strategy; None with the others.
    """

    config: LoopConfig
    strategy: Strategy
    attribute: int | None
    weights: LossWeights
    generator_warmup: float
    networks: Networks
    faces: Faces
    source_rows: np.ndarray
    real_rows: np.ndarray
    table: StepSchedule
    held_out: HeldOut
    rule: StopRule
    card: Card
    evaluator: AttributeClassifier | None = None
    paired: PairedData | None = None

    @property
    def results(self) -> dict[str, Generator | Discriminator]:
        """The networks that the result bundle holds.

        Pairs train no discriminator. The one that such a training began with is left out: it is fresh, or does not know
        the generator as it is now, and whoever continues from the bundle aligns another one.
        """
        if self.paired is not None:
            return {"generator": self.networks.generator}
        return {"generator": self.networks.generator, "discriminator": self.networks.discriminator}

    @property
    def keeps_best(self) -> bool:
        """Whether the result is the state of the best quality; otherwise it is the last state."""
        if self.paired is not None:
            return True
        return self.attribute is not None and sees_edits(self.strategy, self.evaluator)

    @property
    def without_best(self) -> str:
        """Why a training keeps no best state, as a clause; empty where it does, and in an alignment."""
        if self.attribute is None or self.keeps_best:
            return ""
        return (
            f"no state is kept as the best: {self.strategy.name} shows the discriminator only images "
            f"{self.strategy.real} {self.faces.attributes[self.attribute]}, so that it cannot score edits, and neither "
            "the bundle nor --evaluator has an attribute classifier; the result is the last state"
        )


def place_evaluator(
    classifier: AttributeClassifier | None, device: torch.device
) -> AttributeClassifier | None:
    """A frozen copy of the classifier on the device, in evaluation mode."""
    if classifier is None:
        return None
    return copy.deepcopy(classifier).to(device, torch.float32).eval().requires_grad_(False)


def check_fit(
    generator: Generator,
    discriminator: Discriminator,
    faces: Faces,
    *classifiers: AttributeClassifier | None,
) -> None:
    """Refuse networks and data that do not belong together.

    Raises:
        ValueError: another image size or number of attributes.
    """
    wanted = (faces.size, len(faces.attributes))
    for network in (generator, discriminator, *classifiers):
        if network is None:
            continue
        found = (network.config.image_size, network.config.n_attributes)
        if found != wanted:
            raise ValueError(
                f"{type(network).__name__} of {found[0]} px and {found[1]} attributes for faces of {wanted[0]} px and "
                f"{wanted[1]}"
            )
