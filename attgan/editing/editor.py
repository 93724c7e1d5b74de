"""The editor: takes a batch of faces, and returns the same faces with other attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from attgan.editing.device_slots import StreamSlots, as_images, fill_batch, open_slots
from attgan.models import AttributeClassifier, Generator
from attgan.models.layers.folding import folded

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Editor:
    """A generator on its device, ready to edit, and the classifier that predicts a face's attributes before the edit.

    Attributes:
        generator: in evaluation mode, on ``device``, channels last.
        classifier: likewise; None where the bundle has none.
        device: where it runs.
        batch_size: of every forward pass. A smaller rest is padded to it: another size can select other kernels, which
            give other bits (on a GPU often, on a CPU for some narrow generators).
        slots: the slots in which batches are edited, by any number of threads.
    """

    generator: Generator
    classifier: AttributeClassifier | None
    device: torch.device
    batch_size: int
    slots: StreamSlots

    @property
    def size(self) -> int:
        """Side of the square faces it takes, in pixels."""
        return self.generator.config.image_size

    def edit(self, faces: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Edit faces.

        Args:
            faces: ``(N, S, S, 3)`` uint8, RGB.
            targets: ``(N, n + k)`` float32, the network's attribute and style vectors of the results; or ``(N, n)``:
                then the styles are 0, that is unknown.

        Returns:
            ``(N, S, S, 3)`` uint8, RGB.
        """
        config = self.generator.config
        if targets.shape[1] == config.n_attributes:
            targets = np.pad(targets, ((0, 0), (0, config.n_styles)))
        edited = np.empty_like(faces)
        with self.slots() as slot:
            for part in self._batches(len(faces)):
                slot.edit(faces[part], targets[part], edited[part])
        return edited

    def recognise(self, faces: np.ndarray) -> np.ndarray | None:
        """Predict the attributes of faces; None without a classifier.

        Args:
            faces: ``(N, S, S, 3)`` uint8, RGB.

        Returns:
            ``(N, n)`` float32: 0, 1, or NaN where the classifier is unsure.
        """
        if self.classifier is None:
            return None
        low, high = self.classifier.config.unsure
        predicted = [np.empty((0, self.classifier.config.n_attributes), dtype=np.float32)]
        for part in self._batches(len(faces)):
            # In float32 on every device: the classifier is small, and its logits become decisions.
            with torch.inference_mode():
                logits = self.classifier(self._images(faces[part]))
            scores = logits[: len(faces[part])].float().cpu().numpy()
            labels = (scores > high).astype(np.float32)
            labels[(scores > low) & (scores < high)] = np.nan
            predicted.append(labels)
        return np.concatenate(predicted)

    def _batches(self, count: int) -> list[slice]:
        return [slice(start, start + self.batch_size) for start in range(0, count, self.batch_size)]

    def _images(self, faces: np.ndarray) -> torch.Tensor:
        """The faces padded to a full batch ``(B, 3, S, S)`` float32 in [-1, 1], channels last, on the device."""
        batch = np.empty((self.batch_size, *faces.shape[1:]), dtype=np.uint8)
        fill_batch(batch, faces)
        return as_images(torch.from_numpy(batch).to(self.device))


def make_editor(
    generator: Generator, device: str, batch_size: int, classifier: AttributeClassifier | None = None
) -> Editor:
    """Wrap copies of both networks, for inference, on ``device`` (``cpu``, ``cuda``, ``cuda:1`` …)."""
    where = torch.device(device)
    ready = _for_inference(generator, where)
    ready_classifier = None if classifier is None else _for_inference(classifier, where)
    return Editor(ready, ready_classifier, where, batch_size, open_slots(ready, where, batch_size))


def _for_inference(network: Network, device: torch.device) -> Network:
    return folded(network).requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
