"""What a user can set: one model per flow: its parameters, the form in the Prefect UI and the command line.

A field's description is its help text everywhere; its rule is checked here and nowhere else.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from attgan.attributes import MAX_INTENSITY
from attgan.errors import UserError
from flows.storage.urls import parse_url


def _absolute(url: str) -> str:
    """One spelling for each place, and paths as the driver means them: a worker has another working directory."""
    try:
        return parse_url(url, "URL").url
    except UserError:
        return url  # refused where it is opened, by the name of its option


Url = Annotated[str, AfterValidator(_absolute)]
Activation = Literal["relu", "leaky_relu"]


class Settings(BaseModel):
    """The base of every flow's settings: immutable, and nothing that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _plain_name(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise ValueError("letters, digits, '-', '_' and '.' only, not starting with '.'")
    return name


def _edit_form(edit: str) -> str:
    if not re.fullmatch(r"[^=@]+=[01](@[0-9.]+)?", edit):
        raise ValueError("write NAME=1, NAME=0, or with an intensity of its own NAME=1@0.8")
    return edit


Share = Annotated[float, Field(ge=0, le=1)]
Edit = Annotated[str, AfterValidator(_edit_form)]
Name = Annotated[str, AfterValidator(_plain_name)]


class SubsetSettings(Settings):
    """Cut CelebA, or a dataset in its layout, into Parquet shards."""

    source: Url = Field(
        description="Folder in CelebA's layout (img_align_celeba/, list_attr_celeba.txt): URL or path."
    )
    destination: Url | None = Field(
        default=None, description="Where the dataset goes: URL or path. A dry run does without."
    )
    subset: str = Field(
        default="eyeglasses-extended",
        description="all, random, ATTRIBUTE-only or ATTRIBUTE-extended (with it, and others drawn at random).",
    )
    ratio: float = Field(
        default=1 / 3, gt=0, lt=1, description="Share of rows with the attribute in an extended subset."
    )
    count: int | None = Field(
        default=None, ge=1, description="Rows of a random subset; 70,000 for alignment."
    )
    partitions: list[Literal["train", "valid", "test"]] = Field(
        default=[], description="Only rows of these partitions. Repeatable; by default all rows."
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything that is drawn at random.")
    store: Literal["cropped", "original"] = Field(
        default="original",
        description="Store the original bytes, or faces cropped and resized to --size.",
    )
    size: int = Field(
        default=128,
        ge=64,
        multiple_of=32,
        description="Side of stored faces, in pixels; a face may not be smaller.",
    )
    rows_per_part: int = Field(
        default=2000, ge=1, description="Images per Parquet file, and per task on Ray."
    )
    max_unreadable_share: Share = Field(
        default=0.01, description="Stop when more than this share of the images does not open."
    )
    cpus_per_part: float = Field(default=1, gt=0, description="CPUs that each task on Ray asks for.")
    dry_run: bool = Field(default=False, description="Count and print what would be done, then stop.")


class EditSettings(Settings):
    """Edit every face image below a prefix and write the results below another one."""

    source: Url = Field(description="Images to edit: s3://bucket/prefix, file:///folder or a path.")
    destination: Url = Field(description="Where the edited images go, under the same keys: URL or path.")
    bundle: Url = Field(description="The trained model: URL or path of a bundle's folder.")
    set: list[Edit] = Field(
        default=["Eyeglasses=1"],
        min_length=1,
        description="Attribute to change, NAME=0|1, or NAME=0|1@INTENSITY for one of its own. Repeatable.",
    )
    intensity: float = Field(
        default=1.0,
        gt=0,
        le=MAX_INTENSITY,
        description="How strongly the changed attributes are set; 1 is the usual.",
    )
    labels: Url | None = Field(
        default=None,
        description="Folder with CelebA's label files, for the source attributes; without it they are unknown.",
    )
    output: Literal["image", "face"] = Field(
        default="image", description="The whole image with the face put back, or the bare square face."
    )
    quality: int = Field(default=95, ge=1, le=100, description="JPEG and WebP quality of the results.")
    on_existing: Literal["skip", "overwrite", "fail"] = Field(
        default="skip", description="What to do where the destination holds a key that is not ours."
    )
    limit: int | None = Field(default=None, ge=1, description="Edit only the first N keys, to try it out.")
    max_failed_share: Share = Field(
        default=0.1, description="Stop when more than this share of the images turns out to be unusable."
    )
    max_pixels: int = Field(
        default=64_000_000, ge=1, description="Images with more pixels than this are refused unread."
    )
    shard_size: int = Field(default=2000, ge=1, le=100_000, description="Images per task on Ray.")
    batch_size: int = Field(
        default=16, ge=1, le=4096, description="Images per forward pass; 16 suits a CPU, a GPU likes 256."
    )
    cpus_per_shard: float = Field(default=1, ge=0.01, description="CPUs that each task on Ray asks for.")
    gpus_per_shard: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one, that each task on Ray asks for."
    )
    run_id: Name | None = Field(default=None, description="A name for the run; by default it is derived.")
    dry_run: bool = Field(default=False, description="Count and print what would be done, then stop.")


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


class DemoSettings(Settings):
    """The main job on drawn faces, from nothing."""

    images: int = Field(default=400, ge=20, le=100_000, description="How many faces to draw.")
    width: int = Field(default=16, ge=1, le=64, description="Width of the freshly initialised generator.")
    seed: int = Field(default=0, ge=0, description="Seed of the drawn faces and of the generator.")


def first_mistake(error: ValidationError) -> str:
    """One line for a validation error: the option, the value and the rule."""
    mistake = error.errors(include_url=False)[0]
    option = "--" + str(mistake["loc"][0]).replace("_", "-") if mistake["loc"] else "settings"
    rule = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "missing":
        return f"{option}: is required"
    value = mistake["input"]
    return f"{option} {value if isinstance(value, str | int | float) else repr(value)}: {rule}"
