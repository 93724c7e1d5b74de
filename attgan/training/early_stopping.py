"""Stop rules: after each validation they decide whether a run ends early, and why.

A rule is an immutable value. A checkpoint stores it as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

from pydantic import JsonValue


class StopRule(Protocol):
    """The interface of a stop rule."""

    @property
    def reason(self) -> str | None:
        """Why to stop, in words; None to continue."""
        ...

    def after(self, numbers: Mapping[str, float], *, epoch_end: bool) -> Self:
        """The rule after one more validation; ``epoch_end`` says whether it is the one that ends an epoch."""
        ...

    def to_json(self) -> dict[str, JsonValue]:
        """Its state, for a checkpoint."""
        ...

    def restored(self, memory: Mapping[str, JsonValue]) -> Self:
        """The rule with the state that :meth:`to_json` returned."""
        ...


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop after ``patience`` epochs, or validations, in a row without a better loss; 0 never stops.

    Attributes:
        best: the lowest loss so far.
        waited: epochs, or validations, since then.
        measure: the name of the loss in a validation's numbers.
        counts: "epochs": only the validation at the end of each epoch counts, so how many there are in between makes
            no difference; "validations": every one.
    """

    patience: int
    best: float | None = None
    waited: int = 0
    measure: str = "generator_loss"
    counts: Literal["epochs", "validations"] = "epochs"

    @property
    def reason(self) -> str | None:
        """Why to stop; None to continue."""
        if self.patience and self.waited >= self.patience:
            return f"no better {self.measure.replace('_', ' ')} in {self.waited} {self.counts}"
        return None

    def after(self, numbers: Mapping[str, float], *, epoch_end: bool) -> Self:
        """The rule after one more validation."""
        if self.counts == "epochs" and not epoch_end:
            return self
        loss = numbers[self.measure]
        if self.best is None or loss < self.best:
            return replace(self, best=loss, waited=0)
        return replace(self, waited=self.waited + 1)

    def to_json(self) -> dict[str, JsonValue]:
        """Best loss, waiting time, and what it counts."""
        return {"best": self.best, "waited": self.waited, "counts": self.counts}

    def restored(self, memory: Mapping[str, JsonValue]) -> Self:
        """The rule with its memory. Checkpoints of versions that counted validations do not say what they count."""
        return replace(self, **{"counts": "validations"} | dict(memory))  # type: ignore[arg-type]


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

    def after(self, numbers: Mapping[str, float], *, epoch_end: bool) -> Self:
        """The rule after a validation that measured the loss and both accuracies. It counts all validations."""
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
