"""The kinds of training: what differs between `train`, `align` and `train-classifier`. All else is shared.

Imported by the command line for dry runs, so it does not import Prefect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from flows.settings import AlignSettings, ClassifierSettings, TrainSettings
from flows.storage import Store
from flows.training import prepared_training, report
from flows.training.classifier import plan as classifier_plan
from flows.training.classifier import report as classifier_report
from flows.training.classifier.trial import classifier_trial
from flows.training.trial import align_trial, train_trial

Values = dict[str, Any]
AnySettings = TrainSettings | AlignSettings | ClassifierSettings


class Prepared(Protocol):
    """A run that is checked: it may begin, resume, or have finished."""

    @property
    def settings(self) -> AnySettings:
        """The settings of the run."""
        ...

    @property
    def store(self) -> Store:
        """The run's folder."""
        ...

    @property
    def finished(self) -> Values | None:
        """The outcome of a run that has finished; else None."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of training.

    Attributes:
        name: of its flow, its task and its command.
        summary: the flow's description in the UI.
        settings: its settings model.
        prepare: checks the settings, and works out what will be trained. It writes nothing.
        trial: trains in this process. It takes the settings and ``command``.
        describe: what will be trained, as names and values.
        result: the flow's result, from the prepared run, the outcome and the seconds.
        result_rows: the result as rows of a table.
        show: prints the result to the terminal.
    """

    name: str
    summary: str
    settings: type[AnySettings]
    prepare: Callable[[Any], Prepared]
    trial: Callable[..., Values]
    describe: Callable[[Any], Values]
    result: Callable[[Any, Values, float], Values]
    result_rows: Callable[[Values], list[Values]]
    show: Callable[[Values], None]

    def plan_rows(self, prepared: Prepared) -> list[Values]:
        """What will be trained and all other settings, as rows of a table."""
        shown = self.describe(prepared)
        others = prepared.settings.config.model_dump()
        shown |= {f"--{name.replace('_', '-')}": value for name, value in others.items() if name not in shown}
        return [{"what": what, "value": value} for what, value in shown.items()]


TRAIN = Kind(
    name="train",
    summary="Train AttGAN with one of the strategies, from a bundle or from scratch.",
    settings=TrainSettings,
    prepare=prepared_training.prepare,
    trial=train_trial,
    describe=report.describe,
    result=report.result,
    result_rows=report.result_rows,
    show=report.show,
)
# An alignment differs from a training in what is trained. It is planned and reported in the same way.
ALIGN = replace(
    TRAIN,
    name="align",
    summary="Train a discriminator against a bundle's frozen generator, so that both can be fine-tuned together.",
    settings=AlignSettings,
    trial=align_trial,
)
CLASSIFIER = Kind(
    name="train-classifier",
    summary="Train a small network that predicts the attributes of unlabelled faces, and add it to a bundle.",
    settings=ClassifierSettings,
    prepare=classifier_plan.prepare,
    trial=classifier_trial,
    describe=classifier_report.describe,
    result=classifier_report.result,
    result_rows=classifier_report.score_rows,
    show=classifier_report.show,
)
KINDS = {kind.name: kind for kind in (TRAIN, ALIGN, CLASSIFIER)}
