"""The settings of the commands that make, import and export bundles, and of the one that makes the shipped bundle."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.settings.base import Activation, BundleUrl, Settings, Url


class InitSettings(Settings):
    """Make a bundle with an untrained generator, to try the commands with."""

    destination: Url = Field(description="The bundle's folder to make: URL or path.")
    image_size: int = Field(default=128, ge=64, multiple_of=32, description="Side of its images, in pixels.")
    width: int = Field(
        default=64, ge=1, le=256, description="Channels after the first layer; 64 is full width."
    )
    shortcut_layers: int = Field(default=1, ge=0, le=4, description="U-Net skip connections.")
    inject_layers: int = Field(
        default=0, ge=0, le=4, description="Decoder layers that receive the attributes again."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the initial weights.")


class ImportWeightsSettings(Settings):
    """Turn a published AttGAN-PyTorch checkpoint (.pth) into a bundle. Only tensors are ever read from it."""

    checkpoint: Url = Field(description="The .pth file: generator only, or generator and discriminator.")
    destination: Url = Field(description="The bundle's folder to make: URL or path.")
    attributes: list[str] | None = Field(
        default=None, description="Attribute names in training order; by default the 13 published ones."
    )
    image_size: int | None = Field(
        default=None,
        description="Side of the images it was trained on. Needed unless the file holds the discriminator, which "
        "says it.",
    )
    shortcut_layers: int | None = Field(
        default=None, ge=0, le=4, description="Needed only where the tensors' shapes leave it open."
    )
    inject_layers: int | None = Field(
        default=None, ge=0, le=4, description="Needed only where the tensors' shapes leave it open."
    )
    encoder_activation: Activation = Field(
        default="leaky_relu", description="Activation of the generator's encoder."
    )
    decoder_activation: Activation = Field(
        default="relu",
        description="Activation of the generator's decoder; the reference study's Table I has leaky_relu there, the "
        "published weights were trained with relu.",
    )
    discriminator_activation: Activation = Field(
        default="leaky_relu", description="Activation of the discriminator's convolutions."
    )
    head_activation: Activation = Field(
        default="relu", description="Activation of the hidden layers of the discriminator's two heads."
    )
    slope: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="Slope of every leaky_relu for negative values. The published PyTorch weights were trained with "
        "0.01, in the encoder too; the TensorFlow original has 0.2.",
    )
    dry_run: bool = Field(default=False, description="Read and describe the checkpoint, then stop.")


class ExportSettings(Settings):
    """Copy a bundle for distribution: with half-precision weights, and without what only training needs."""

    bundle: BundleUrl = Field(
        description="The trained model: URL or path, or `default`: the one that is shipped."
    )
    destination: Url = Field(description="The bundle's folder to make: URL or path.")
    dtype: Literal["float16", "float32"] = Field(
        default="float16", description="Type of the stored weights; float16 halves the files."
    )
    discriminator: bool = Field(default=False, description="Keep the discriminator, for further training.")


class MakeDefaultSettings(Settings):
    """Make the bundle that is shipped, from faces that may be shipped. Stages that are complete are skipped."""

    faces: list[Url] = Field(
        min_length=1,
        description="Table of aligned faces (.tsv, .csv or .parquet) with the columns file, eyeglasses (0 or 1) and "
        "split. Its rows of `train` are used, every tenth of them for validation. Repeatable.",
    )
    images: list[Url] = Field(
        default=[],
        description="The images' folder, one for each table, in their order; by default beside the table.",
    )
    destination: Url = Field(
        description="The folder of the stages and of the result, `default`: URL or path."
    )
    licence: str = Field(
        min_length=1, description="One line on what the faces, and so the weights, may be used for."
    )
    bundle: BundleUrl | None = Field(
        default=None,
        description="A trained model whose generator to start with: URL, path or `default`; by default from scratch.",
    )
    drawn: int = Field(
        default=3000,
        ge=60,
        description="Faces drawn for the attribute classifier, with labels for all attributes; an eighth of them is "
        "also used in the paired training.",
    )
    size: int = Field(
        default=128, ge=64, multiple_of=32, description="From scratch: side of the faces, in pixels."
    )
    steps: int = Field(default=8_500, ge=1, description="Steps of the paired training.")
    final_steps: int = Field(
        default=5_000, ge=1, description="Steps of its last part, in which the learning rate falls."
    )
    classifier_steps: int = Field(default=4_000, ge=1, description="Steps of the classifier's training.")
    cpus: float | None = Field(default=None, gt=0, description="Threads to train with; by default all.")
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="Seed of everything that is drawn at random."
    )
