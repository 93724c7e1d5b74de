"""The settings of trainings: what the library's loops take, the places, and what the task asks for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from attgan.training.classifier.config import ClassifierTraining
from attgan.training.config import AlignmentConfig, TrainingConfig
from flows.settings.base import BundleUrl, Settings, Url
from flows.urls import DEFAULT_BUNDLE

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\n]+$")]


class RunSettings(Settings):
    """What all that trains has in common beside its loop's settings."""

    dataset: Url = Field(description="The dataset to train on, as `attgan subset` makes it: URL or path.")
    destination: Url = Field(
        description="The run's folder: checkpoints, metrics, pictures, and the trained bundle/ at its end."
    )
    cpus: float | None = Field(
        default=None, ge=1, description="CPUs that the task asks for; by default all of the largest node."
    )
    gpus: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one; with 0 the CPUs do the work."
    )
    cache_gb: float | None = Field(
        default=None,
        ge=0,
        description="Keep all images decoded, once for each node, if they fit into so many GiB; by default a quarter "
        "of the memory, at most 4.",
    )
    licence: Line | None = Field(
        default=None,
        description="One line on what the weights may be used for; by default on the data's terms.",
    )
    dry_run: bool = Field(default=False, description="Print what would be trained, and stop.")

    @property
    def device(self) -> str:
        """Where the networks are: "cuda" or "cpu"."""
        return "cuda" if self.gpus else "cpu"


class FreshDiscriminator(Settings):
    """Whether to go on with a bundle's discriminator."""

    fresh_discriminator: bool = Field(
        default=False, description="Begin with a new discriminator, whatever the bundle has."
    )


class NetworkShape(FreshDiscriminator):
    """What fresh networks are like; a bundle's are what they are."""

    size: int | None = Field(
        default=None, ge=64, multiple_of=32, description="From scratch: side of the images; 128 by default."
    )
    width: int | None = Field(
        default=None, ge=1, le=256, description="From scratch: channels after the first layer; 64 by default."
    )
    shortcut_layers: int | None = Field(
        default=None, ge=0, le=4, description="From scratch: U-Net connections; 1 by default."
    )
    inject_layers: int | None = Field(
        default=None,
        ge=0,
        le=4,
        description="From scratch: layers that see the attributes again; 0 by default.",
    )
    attributes: list[str] | None = Field(
        default=None,
        min_length=1,
        description="From scratch: the model's attributes. Repeatable; the 13 published ones by default.",
    )


class TrainSettings(TrainingConfig, NetworkShape, RunSettings):
    """Train AttGAN, from a bundle or from scratch."""

    bundle: BundleUrl | None = Field(
        default=None,
        description="A trained model to start from: URL, path, or `default`: the one that is shipped; without it from "
        "scratch.",
    )
    judge: BundleUrl | None = Field(
        default=None,
        description="Who says what edited faces show, in validations: a judge's folder, or a bundle with a "
        "classifier; by default the classifier of --bundle.",
    )

    @property
    def config(self) -> TrainingConfig:
        """What the library's loop is given."""
        return TrainingConfig.model_validate(self.model_dump(include=set(TrainingConfig.model_fields)))


class AlignSettings(AlignmentConfig, FreshDiscriminator, RunSettings):
    """Train a discriminator against a bundle's frozen generator until it is in step with it."""

    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE,
        description="The model whose generator stays as it is: URL or path, or `default`: the one that is shipped.",
    )

    @property
    def config(self) -> AlignmentConfig:
        """What the library's loop is given."""
        return AlignmentConfig.model_validate(self.model_dump(include=set(AlignmentConfig.model_fields)))


class _ClassifierRun(ClassifierTraining, RunSettings):
    @property
    def config(self) -> ClassifierTraining:
        """What the library is given."""
        return ClassifierTraining.model_validate(
            self.model_dump(include=set(ClassifierTraining.model_fields))
        )


class JudgeSettings(_ClassifierRun):
    """Train the judge of a sweep: of these attributes, in this size, for no bundle."""

    size: int = Field(ge=64, multiple_of=32, description="Side of the faces.")
    attributes: list[str] = Field(min_length=1, description="The attributes it is to know.")
    bundle: None = None


class ClassifierSettings(_ClassifierRun):
    """Train a small network that predicts the attributes of unlabelled faces, and add it to a bundle."""

    bundle: BundleUrl = Field(
        description="The model it is for: its attributes, in its size. URL, path or `default`; it stays as it is."
    )
    destination: Url = Field(
        description="The bundle to make: the same model with the classifier; its training goes below it."
    )
