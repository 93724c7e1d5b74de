"""Settings of the commands that make bundles to begin with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.settings.base import BundleUrl, Settings, Url

Activation = Literal["relu", "leaky_relu"]


class InitSettings(Settings):
    """Make a bundle with a freshly initialised generator, which edits nothing in particular yet."""

    destination: Url = Field(description="The bundle's folder to make: URL or path.")
    image_size: int = Field(default=128, ge=64, multiple_of=32, description="Side of its images, in pixels.")
    width: int = Field(
        default=64, ge=1, le=256, description="Channels after the first layer; 64 is full width."
    )
    shortcut_layers: int = Field(default=1, ge=0, le=4, description="U-Net connections.")
    inject_layers: int = Field(default=0, ge=0, le=4, description="Layers that see the attributes again.")
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
        description="Side of the images it was trained on; by default its discriminator's, or 128.",
    )
    shortcut_layers: int | None = Field(
        default=None, ge=0, le=4, description="Needed only where the tensors' shapes leave it open."
    )
    inject_layers: int | None = Field(
        default=None, ge=0, le=4, description="Needed only where the tensors' shapes leave it open."
    )
    encoder_activation: Activation = Field(default="leaky_relu", description="Of the generator's encoder.")
    decoder_activation: Activation = Field(default="relu", description="Of the generator's decoder.")
    slope: float = Field(default=0.01, ge=0, description="Of the leaky ones, for negative values.")
    dry_run: bool = Field(default=False, description="Read and describe the checkpoint, then stop.")


class ExportSettings(Settings):
    """Copy a bundle in the form in which it is handed on: small, and without what only a training needs."""

    bundle: BundleUrl = Field(
        description="The trained model: URL or path, or `default`: the one that is shipped."
    )
    destination: Url = Field(description="The bundle's folder to make: URL or path.")
    dtype: Literal["float16", "float32"] = Field(
        default="float16", description="Of the stored weights; float16 halves the files."
    )
    discriminator: bool = Field(default=False, description="Keep the discriminator, for further training.")
