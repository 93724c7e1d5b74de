"""Commands that make datasets, train on them and compare trainings."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Group, Parameter

from flows.operate.stack_choice import adopt_stack, stack_for
from flows.runtime.terminal import print_mapping, print_rows
from flows.settings import (
    AlignSettings,
    ClassifierSettings,
    IngestSettings,
    PipelineSettings,
    SubsetSettings,
    SweepSettings,
    TrainSettings,
)

_GROUP = Group("Datasets and training", sort_key=2)


def add_to(app: App) -> None:
    """Add these commands to the command line."""
    for command in (subset, ingest, train, align, train_classifier, sweep, pipeline):
        app.command(command, group=_GROUP)


def subset(*, settings: Annotated[SubsetSettings, Parameter(name="*")]) -> None:
    """Make a dataset of Parquet parts from CelebA, or from images in its layout."""
    adopt_stack()
    from flows.dataset import subset as subset_room

    if settings.dry_run:
        print(subset_room.describe(settings))
        return
    from flows.runtime.running import run_from_terminal

    print_mapping("Dataset", run_from_terminal(subset_room.subset, settings=settings))


def ingest(*, settings: Annotated[IngestSettings, Parameter(name="*")]) -> None:
    """Make a dataset from Parquet tables of images and labels. Runs in this process."""
    adopt_stack()
    from flows.dataset import ingest as tables

    if settings.dry_run:
        print_rows("What this run would make", tables.describe(settings))
        return
    print_mapping("Dataset", tables.ingest(settings))


def train(*, settings: Annotated[TrainSettings, Parameter(name="*")]) -> None:
    """Train AttGAN with one of the strategies, from a bundle or from scratch."""
    _train("train", settings)


def align(*, settings: Annotated[AlignSettings, Parameter(name="*")]) -> None:
    """Train a discriminator against the frozen generator of a bundle."""
    _train("align", settings)


def train_classifier(*, settings: Annotated[ClassifierSettings, Parameter(name="*")]) -> None:
    """Train an attribute classifier, which predicts the attributes of unlabelled faces, and add it to a bundle."""
    _train("train-classifier", settings)


def _train(name: str, settings: TrainSettings | AlignSettings | ClassifierSettings) -> None:
    adopt_stack()
    from flows.training.kinds import KINDS

    kind = KINDS[name]
    if settings.dry_run:
        print_rows("What this training would do", kind.plan_rows(kind.prepare(settings)))
        return
    from flows.runtime.running import run_from_terminal
    from flows.training.flow import FLOWS

    kind.show(run_from_terminal(FLOWS[name], settings=settings))


def sweep(*, settings: Annotated[SweepSettings, Parameter(name="*")] = SweepSettings()) -> None:  # noqa: B008
    """Fine-tune for one attribute over a grid or a search of training settings, in parallel, and compare the results.

    Without --dataset, faces are drawn. If then no local stack is up and no other is named, one is started for this
    command alone.
    """
    if settings.dry_run:
        adopt_stack()
        from flows.sweep.plan import describe

        print_rows("What this sweep would do", describe(settings))
        return
    stack_for("sweep", settings, own=settings.dataset is None)
    from flows.runtime.running import run_from_terminal
    from flows.sweep import flow
    from flows.sweep.results import display

    display.show(run_from_terminal(flow.sweep, settings=settings))


def pipeline(*, settings: Annotated[PipelineSettings, Parameter(name="*")] = PipelineSettings()) -> None:  # noqa: B008
    """Make a dataset, align a discriminator, run a sweep, and edit images with the best model.

    Without --source, faces are drawn. If then no local stack is up and no other is named, one is started for this
    command alone.
    """
    if settings.dry_run:
        adopt_stack()
        from flows.pipeline import describe

        print_rows("What the pipeline would do", describe(settings))
        return
    stack_for("pipeline", settings, own=settings.source is None)
    from flows.pipeline import pipeline as run_pipeline
    from flows.runtime.running import run_from_terminal

    print_mapping("Pipeline", run_from_terminal(run_pipeline, settings=settings))
