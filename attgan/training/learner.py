"""What the training loop needs of the networks that it trains. AttGAN and the attribute classifier provide it."""

from collections.abc import Generator, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from attgan.training.classifier.config import ClassifierTraining
from attgan.training.config import LoopConfig
from attgan.training.run_folder.metrics_log import MetricsLog
from attgan.training.run_folder.ownership import OwnedFolder
from attgan.training.run_folder.state import State


class Stepped(NamedTuple):
    """A finished step.

    Attributes:
        network: the one that it trained.
        rate: the learning rate.
        losses: still on the device.
        part_size: images that were computed at a time; None where it was the whole batch.
    """

    network: str
    rate: float
    losses: Mapping[str, Tensor]
    part_size: int | None = None


class Learner(Protocol):
    """Networks with their optimisers, data and validation."""

    @property
    def config(self) -> LoopConfig | ClassifierTraining:
        """The settings."""
        ...

    @property
    def steps(self) -> int:
        """The steps of the whole run, at most."""
        ...

    def epoch(self, done: int) -> float:
        """How many passes over the images ``done`` steps are."""
        ...

    def is_check(self, done: int) -> bool:
        """Whether to validate after ``done`` steps."""
        ...

    def opening(self, state: State) -> str:
        """The note of the first progress report."""
        ...

    def open_steps(self, state: State) -> Generator[Stepped, None, None]:
        """The steps from the state's on, without end. Each is done when it is asked for."""
        ...

    def validate(self, state: State) -> bool:
        """Validate, record the numbers in the state, and return whether it is the best state so far."""
        ...

    def load(self, folder: OwnedFolder) -> State:
        """The last saved state, loaded into the networks; the initial one if there is none."""
        ...

    def save(self, folder: OwnedFolder, state: State) -> None:
        """Save the networks, their optimisers and the state."""
        ...

    def draw(self, folder: OwnedFolder, step: int) -> None:
        """Write a grid of faces after a validation, if one is due."""
        ...

    def draw_curves(self, folder: OwnedFolder, log: MetricsLog) -> None:
        """Write the curves so far."""
        ...
