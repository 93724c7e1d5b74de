"""Stop rules: after each validation they decide whether a run ends early, and why.

A rule is an immutable value. A checkpoint stores it as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

from pydantic import JsonValue


class StopRule(Protocol):
    """The interface of a stop rule."""

    @property
    def reason(self) -> str | None:
        """Why to stop, in words; None to continue."""
        ...

    def after(self, numbers: Mapping[str, float]) -> Self:
        """The rule after one more validation."""
        ...

    def to_json(self) -> dict[str, JsonValue]:
        """Its state, for a checkpoint."""
        ...

    def restored(self, memory: Mapping[str, JsonValue]) -> Self:
        """The rule with the state that :meth:`to_json` returned."""
        ...


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop after ``patience`` validations in a row without a better loss; 0 never stops.

    Attributes:
        best: the lowest loss so far.
        waited: validations since then.
        measure: the name of the loss in a validation's numbers.
    """

    patience: int
    best: float | None = None
    waited: int = 0
    measure: str = "generator_loss"

    @property
    def reason(self) -> str | None:
        """Why to stop; None to continue."""
        if self.patience and self.waited >= self.patience:
            return f"no better {self.measure.replace('_', ' ')} in {self.waited} validations"
        return None

    def after(self, numbers: Mapping[str, float]) -> Self:
        """The rule after one more validation."""
        loss = numbers[self.measure]
        if self.best is None or loss < self.best:
            return replace(self, best=loss, waited=0)
        return replace(self, waited=self.waited + 1)

    def to_json(self) -> dict[str, JsonValue]:
        """Best loss and waiting time."""
        return {"best": self.best, "waited": self.waited}

    def restored(self, memory: Mapping[str, JsonValue]) -> Self:
        """The rule with best loss and waiting time."""
        return replace(self, **memory)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class AlignmentStopRule:
    """Stop when the discriminator separates real from edited faces, predicts the attributes, and its loss is flat.

    Attributes:
        critic_accuracy, classifier_accuracy: on held-out faces; both must be reached at the last validation.
        patience, flatness: the loss is flat after ``patience`` validations without an improvement by this share.
        best: the loss from which the next improvement is measured.
        waited: validations since then.
        reached: whether both accuracies were reached at the last validation.
    """

    critic_accuracy: float
    classifier_accuracy: float
    patience: int
    flatness: float
    best: float | None = None
    waited: int = 0
    reached: bool = False

    @property
    def reason(self) -> str | None:
        """Why to stop; None to continue."""
        if self.reached and self.waited >= self.patience:
            return "the discriminator is in step: accuracies reached, loss flat"
        return None

    def after(self, numbers: Mapping[str, float]) -> Self:
        """The rule after a validation that measured the loss and both accuracies."""
        loss = numbers["discriminator_loss"]
        reached = (
            numbers["critic_accuracy"] >= self.critic_accuracy
            and numbers["classifier_accuracy"] >= self.classifier_accuracy
        )
        if self.best is None or loss < self.best - self.flatness * abs(self.best):
            return replace(self, best=loss, waited=0, reached=reached)
        return replace(self, waited=self.waited + 1, reached=reached)

    def to_json(self) -> dict[str, JsonValue]:
        """Best loss, waiting time, and whether the accuracies were reached."""
        return {"best": self.best, "waited": self.waited, "reached": self.reached}

    def restored(self, memory: Mapping[str, JsonValue]) -> Self:
        """The rule with what it remembered."""
        return replace(self, **memory)  # type: ignore[arg-type]
