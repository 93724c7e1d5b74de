"""The settings of trainings: those of the training loop, places, and the resources of the task."""

from __future__ import annotations

from pydantic import Field

from attgan.training.classifier.config import ClassifierTraining
from attgan.training.config import AlignmentConfig, TrainingConfig
from flows.settings.base import (
    Activation,
    BundleUrl,
    CacheGb,
    EvaluatorUrl,
    NodeTimeout,
    Settings,
    Url,
    WeightsLicence,
)
from flows.settings.groups import TRAINING
from flows.settings.layout import Layout
from flows.urls import DEFAULT_BUNDLE


class RunSettings(Settings):
    """The settings that all trainings share, besides those of the training loop."""

    dataset: Url = Field(description="The dataset to train on, as `attgan subset` makes it: URL or path.")
    destination: Url = Field(
        description="The run's folder, with checkpoints, metrics, pictures, and at the end the trained bundle/."
    )
    cpus: float | None = Field(
        default=None,
        ge=1,
        description="CPUs that the task asks for; by default all CPUs of the largest node.",
    )
    gpus: float = Field(default=0, ge=0, le=1, description="GPUs, or the fraction of one; 0 trains on CPUs.")
    node_timeout: NodeTimeout = "10m"
    cache_gb: CacheGb = None
    licence: WeightsLicence = None
    dry_run: bool = Field(default=False, description="Print what would be trained, and stop.")

    @property
    def device(self) -> str:
        """The device of the training: "cuda" or "cpu"."""
        return "cuda" if self.gpus else "cpu"


class FreshDiscriminator(Settings):
    """Whether to use a bundle's discriminator, and the activations of a fresh one."""

    fresh_discriminator: bool = Field(
        default=False, description="Start with a new discriminator, even if the bundle has one."
    )
    discriminator_activation: Activation | None = Field(
        default=None,
        description="New discriminator: activation of its convolutions; leaky_relu by default.",
    )
    head_activation: Activation | None = Field(
        default=None,
        description="New discriminator: activation of the hidden layers of its two heads; relu by default.",
    )


class NetworkShape(FreshDiscriminator):
    """The shape of fresh networks. Networks of a bundle keep their shape."""

    size: int | None = Field(
        default=None, ge=64, multiple_of=32, description="From scratch: side of the images; 128 by default."
    )
    width: int | None = Field(
        default=None, ge=1, le=256, description="From scratch: channels after the first layer; 64 by default."
    )
    shortcut_layers: int | None = Field(
        default=None, ge=0, le=4, description="From scratch: U-Net skip connections; 1 by default."
    )
    inject_layers: int | None = Field(
        default=None,
        ge=0,
        le=4,
        description="From scratch: decoder layers that receive the attributes again; 0 by default.",
    )
    encoder_activation: Activation | None = Field(
        default=None, description="From scratch: activation of the encoder; leaky_relu by default."
    )
    decoder_activation: Activation | None = Field(
        default=None,
        description="From scratch: activation of the decoder; relu by default, as in the published weights. The "
        "reference study's Table I has leaky_relu.",
    )
    slope: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="From scratch: slope of every leaky_relu for negative values; 0.01 by default.",
    )
    attributes: list[str] | None = Field(
        default=None,
        min_length=1,
        description="From scratch: the model's attributes; the 13 published ones by default. Repeatable.",
    )


class TrainSettings(TrainingConfig, NetworkShape, RunSettings):
    """Train AttGAN, from a bundle or from scratch."""

    # The settings of a sweep's trial hold where none is chosen.
    layout = Layout(
        common=(
            "dataset",
            "destination",
            "bundle",
            "strategy",
            "attribute",
            "epochs",
            "max_steps",
            "batch_size",
            "learning_rate",
            "settings_from",
            "gpus",
            "dry_run",
        ),
        groups=TRAINING,
        blank=True,
    )

    bundle: BundleUrl | None = Field(
        default=None,
        description="The trained model to start from: URL, path, or `default`: the one that is shipped. Without one, "
        "training starts from scratch.",
    )
    evaluator: EvaluatorUrl = Field(
        default=None,
        description="The evaluator, an attribute classifier that measures edited faces in validations: its folder, "
        "or a bundle with a classifier; by default the classifier of --bundle.",
    )

    settings_from: Url | None = Field(
        default=None,
        description="The folder of a finished sweep, whose best trial's settings are taken, and the bundle that it "
        "started from; other options override them.",
    )

    @property
    def config(self) -> TrainingConfig:
        """The settings of the training loop."""
        return TrainingConfig.model_validate(self.model_dump(include=set(TrainingConfig.model_fields)))


class AlignSettings(AlignmentConfig, FreshDiscriminator, RunSettings):
    """Train a discriminator against the frozen generator of a bundle."""

    layout = Layout(
        common=(
            "dataset",
            "destination",
            "bundle",
            "random_images",
            "max_steps",
            "batch_size",
            "learning_rate",
            "gpus",
            "dry_run",
        ),
        groups=TRAINING,
    )

    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE,
        description="The model whose generator is used unchanged: URL or path, or `default`: the one that is shipped.",
    )

    @property
    def config(self) -> AlignmentConfig:
        """The settings of the training loop."""
        return AlignmentConfig.model_validate(self.model_dump(include=set(AlignmentConfig.model_fields)))


class _ClassifierRun(ClassifierTraining, RunSettings):
    @property
    def config(self) -> ClassifierTraining:
        """The settings of the training loop."""
        return ClassifierTraining.model_validate(
            self.model_dump(include=set(ClassifierTraining.model_fields))
        )


class SweepEvaluatorSettings(_ClassifierRun):
    """Train the evaluator of a sweep: an attribute classifier that belongs to no bundle."""

    size: int = Field(ge=64, multiple_of=32, description="Side of the faces.")
    attributes: list[str] = Field(min_length=1, description="The attributes that it predicts.")
    bundle: None = None


class ClassifierSettings(_ClassifierRun):
    """Train an attribute classifier, which predicts the attributes of unlabelled faces, and add it to a bundle."""

    layout = Layout(
        common=("dataset", "destination", "bundle", "augment", "rendered", "epochs", "gpus", "dry_run"),
        groups=TRAINING,
    )

    bundle: BundleUrl = Field(
        description="The model to add the classifier to, which decides its attributes and size: URL, path or "
        "`default`. "
        "It is not changed."
    )
    destination: Url = Field(
        description="The bundle to make: the same model with the classifier. The training run is stored below it."
    )
