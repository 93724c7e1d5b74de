"""What a user can set: one model per flow. It is the flow's parameters, the form in the Prefect UI and the command line.

A field's description is its help text everywhere; its rule is checked here and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from attgan.attributes import parse_edits
from attgan.errors import UserError


class Settings(BaseModel):
    """The base of every flow's settings: immutable, and nothing that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_edits(edits: list[str]) -> list[str]:
    try:
        parse_edits(edits)
    except UserError as error:
        raise ValueError(str(error)) from error
    return edits


def _plain_name(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise ValueError("letters, digits, '-', '_' and '.' only, not starting with '.'")
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Edits = Annotated[list[str], Field(min_length=1), AfterValidator(_known_edits)]
Name = Annotated[str, AfterValidator(_plain_name)]


class EditSettings(Settings):
    """Edit every face image below a prefix and write the results below another one."""

    source: str = Field(description="Images to edit: s3://bucket/prefix, file:///folder or a path.")
    destination: str = Field(description="Where the edited images go, under the same keys: URL or path.")
    bundle: str = Field(description="The trained model: URL or path of a bundle's folder.")
    set: Edits = Field(
        default=["Eyeglasses=1"],
        description="Attribute to change, NAME=0|1, or NAME=0|1@INTENSITY for one of its own. Repeatable.",
    )
    intensity: float = Field(
        default=1.0, gt=0, le=4, description="How strongly the changed attributes are set; 1 is the usual."
    )
    labels: str | None = Field(
        default=None,
        description="CelebA-style label file for the source attributes; without one they are taken as unknown.",
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
    batch_size: int = Field(default=64, ge=1, le=4096, description="Images per forward pass.")
    cpus_per_shard: float = Field(default=1, gt=0, description="CPUs that each task on Ray asks for.")
    gpus_per_shard: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one, that each task on Ray asks for."
    )
    run_id: Name | None = Field(default=None, description="A name for the run; by default it is derived.")
    dry_run: bool = Field(default=False, description="Count and print what would be done, then stop.")


class ImportWeightsSettings(Settings):
    """Turn a published AttGAN-PyTorch checkpoint (.pth) into a bundle. Only tensors are ever read from it."""

    checkpoint: str = Field(description="The .pth file: generator only, or generator and discriminator.")
    destination: str = Field(description="The bundle's folder to make: URL or path.")
    image_size: int = Field(default=128, description="Side of the images it was trained on, in pixels.")
    attributes: list[str] | None = Field(
        default=None, description="Attribute names in training order; by default the 13 published ones."
    )
    dry_run: bool = Field(default=False, description="Read and describe the checkpoint, then stop.")


def first_mistake(error: ValidationError) -> str:
    """One line for a validation error: the option, the value and the rule."""
    mistake = error.errors(include_url=False)[0]
    option = "--" + str(mistake["loc"][0]).replace("_", "-") if mistake["loc"] else "settings"
    rule = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "missing":
        return f"{option}: is required"
    value = mistake["input"]
    return f"{option} {value if isinstance(value, str | int | float) else repr(value)}: {rule}"
