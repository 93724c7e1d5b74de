"""Augmentation of the classifier's training images: photographic effects, and rendered glasses on some faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from attgan.data.loading.loader import Faces
from attgan.data.loading.order import flips
from attgan.data.transforms import to_float
from attgan.randomness import random_for
from attgan.training.classifier.config import ClassifierTraining
from attgan.training.device import Placed, to_device
from attgan.training.paired.augmentation import augment
from attgan.training.paired.pairs import Pairs, render_pairs

_VARIANTS = 8


class Shown(NamedTuple):
    """An augmented batch: images ``(N, 3, S, S)`` in [-1, 1], labels and which are known ``(N, n)``."""

    images: Tensor
    labels: Tensor
    known: Tensor | None


@dataclass(frozen=True)
class Augmentation:
    """Augments batches.

    Attributes:
        config: of the training.
        unknown: ``(rows, n)`` bool, labels that the dataset does not know; None where it knows all.
        pairs: faces without and with rendered glasses; None where none are rendered.
        attribute: column of the glasses.
    """

    config: ClassifierTraining
    unknown: np.ndarray | None
    pairs: Pairs | None
    attribute: int

    @property
    def mirrors(self) -> bool:
        """Whether it mirrors by itself. A stream would only mirror the faces that receive no rendered glasses."""
        return self.config.augment or self.pairs is not None

    def show(self, batch: Placed, step: int) -> Shown:
        """The batch of step ``step``, augmented. It depends on nothing but seed and step."""
        images, labels = batch.images, batch.labels
        random = random_for(self.config.seed, "classifier", step)
        if self.pairs is not None:
            images, labels = self._with_glasses(images, labels, batch.rows, random)
            if self.config.flip and not self.config.augment:
                mirrored = flips(len(images), self.config.seed, "classifier", step)
                images[mirrored] = images[mirrored].flip(3)
        if self.config.augment:
            # What is random is drawn on the host, and so applied there.
            shown = augment((images.cpu() + 1) / 2, random, self.config.flip) * 2 - 1
            images = to_device(shown, images.device)
        if self.unknown is None:
            return Shown(images, labels, None)
        known = torch.from_numpy(~self.unknown[batch.rows])
        return Shown(images, labels, to_device(known, images.device))

    def _with_glasses(
        self, images: Tensor, labels: Tensor, rows: np.ndarray, random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Put rendered glasses on some of the faces without, in copies. They are mirrored later."""
        pairs = self.pairs
        assert pairs is not None
        images, labels = images.clone(), labels.clone()
        bare = np.flatnonzero(np.isin(rows, pairs.rows))
        chosen = bare[random.random(len(bare)) < self.config.rendered]
        variants = random.integers(pairs.worn.shape[1], size=len(chosen))
        faces = torch.from_numpy(pairs.wearing(np.searchsorted(pairs.rows, rows[chosen]), variants))
        images[chosen] = to_float(faces.permute(0, 3, 1, 2).to(images.device))
        labels[chosen, self.attribute] = 1
        return images, labels


def make_augmentation(faces: Faces, config: ClassifierTraining, keep_pairs: Path | None) -> Augmentation:
    """Render the pairs, if the settings ask for any."""
    pairs, attribute = None, 0
    if config.rendered:
        attribute = faces.attributes.index(config.attribute)
        bare = faces.training[~faces.labels[faces.training, attribute]]
        pairs = render_pairs(
            faces,
            bare,
            variants=_VARIANTS,
            seed=config.seed,
            threads=torch.get_num_threads(),
            keep=keep_pairs,
        )
    return Augmentation(config, faces.unknown if faces.unknown.any() else None, pairs, attribute)
