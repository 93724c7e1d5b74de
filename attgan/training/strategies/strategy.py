"""What a training strategy decides: which images each network sees, and which attributes the edits ask for."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Stream = Literal["all", "with", "without"]
"""All images, or those with the target attribute, or those without it."""


class Targets(Protocol):
    """How a strategy chooses the attributes that an edit asks for."""

    def __call__(self, labels: Tensor, attribute: int, random: torch.Generator) -> Tensor:
        """Choose.

        Args:
            labels: (N, n) in {0, 1}, of the images to be edited. Left as they are.
            attribute: column of the target attribute.
            random: on the CPU, whatever the labels' device.

        Returns:
            (N, n) in {0, 1}, on the labels' device.
        """
        ...


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way of training.

    Attributes:
        name: as users write it.
        source: the images that are edited: the generator's batches, and what fakes are made of.
        real: the images that the discriminator is shown as real. Where it equals ``source``, the fakes are
            edits of the very images shown as real.
        targets: the attributes that the edits ask for.
    """

    name: str
    source: Stream
    real: Stream
    targets: Targets
