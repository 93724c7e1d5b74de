"""The settings of the edit flow, and of the report on one of its runs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from attgan.attributes import MAX_INTENSITY
from flows.settings.base import BundleUrl, Name, Settings, Share, Url
from flows.urls import DEFAULT_BUNDLE


def _edit_form(edit: str) -> str:
    if not re.fullmatch(r"[^=@]+=[01](@[0-9.]+)?", edit):
        raise ValueError("write NAME=1, NAME=0, or with an intensity of its own NAME=1@0.8")
    return edit


Edit = Annotated[str, AfterValidator(_edit_form)]

Style = Literal[
    "mixed",
    "round",
    "oval",
    "rectangle",
    "wayfarer",
    "cat_eye",
    "aviator",
    "half_rim",
    "rimless",
    "thick_rim",
    "metal",
    "light_frame",
    "sunglasses",
]


def _split(styles: object) -> object:
    """``--style round,metal`` as well as the option twice."""
    if not isinstance(styles, list):
        return styles
    return [
        name.strip() for text in styles for name in (text.split(",") if isinstance(text, str) else [text])
    ]


Styles = Annotated[list[Style], BeforeValidator(_split)]


class EditPlaces(Settings):
    """From where to where."""

    source: Url = Field(description="Images to edit: s3://bucket/prefix, file:///folder or a path.")
    destination: Url = Field(description="Where the edited images go, under the same keys: URL or path.")


class EditOptions(Settings):
    """What stays the same from run to run over a prefix."""

    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE,
        description="The trained model: URL or path of a bundle's folder, or `default`: the one that is shipped.",
    )
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
    style: Styles = Field(
        default=[],
        description="Which glasses: one shape (round, oval, rectangle, wayfarer, cat_eye, aviator) and any of "
        "half_rim, rimless, thick_rim, metal, light_frame, sunglasses; or mixed: another style for each face. By "
        "default one that suits most faces. Repeatable, or with commas.",
    )
    style_from: Url | None = Field(
        default=None,
        description="A CSV or Parquet table with the columns key and style, for images that get other glasses.",
    )
    labels: Url | None = Field(
        default=None,
        description="Folder with CelebA's label files, for the source attributes of the images listed there; of others "
        "they are what the bundle's classifier sees, or unknown if it has none.",
    )
    faces: Literal["auto", "aligned", "all", "largest"] = Field(
        default="auto",
        description="Where the faces are. `aligned`: images are aligned faces as CelebA's are, 178×218 or square; "
        "others are skipped. `all`, `largest`: images are photographs; all faces, or the largest one, are searched for "
        "and edited. `auto`: images of these proportions that show a face where aligned ones have it are aligned; in "
        "others all faces are edited. An image without a face is skipped.",
    )
    min_face: int = Field(
        default=40,
        ge=20,
        le=4000,
        description="Side of the smallest face that is edited in a photograph, in pixels.",
    )
    min_confidence: Share = Field(default=0.9, description="How sure the finder has to be of a face, 0 to 1.")
    paste: Literal["difference", "whole"] = Field(
        default="difference",
        description="What is put back: what the edit has changed, or the whole edited face.",
    )
    output: Literal["image", "face"] = Field(
        default="image",
        description="The whole image with the face put back, or the bare face (of a photograph, the largest).",
    )
    format: Literal["keep", "jpeg", "png", "webp", "tiff"] = Field(
        default="keep",
        description="Format of the results; another one than the input's has its extension appended to the key.",
    )
    quality: int = Field(default=95, ge=1, le=100, description="JPEG and WebP quality of the results.")
    on_present: Literal["copy", "skip", "edit"] = Field(
        default="copy",
        description="What to do with a face that has all that is asked for already, by its label or by what the "
        "bundle's classifier sees.",
    )
    on_unsure: Literal["edit", "copy", "skip"] = Field(
        default="edit",
        description="What to do with a face of which the bundle's classifier cannot say whether it has all that is "
        "asked for.",
    )
    on_existing: Literal["skip", "overwrite", "fail"] = Field(
        default="skip",
        description="What to do where the destination holds a key that is not ours, or ours of other settings.",
    )
    max_failed_share: Share = Field(
        default=0.1, description="Stop when more than this share of the images turns out to be unusable."
    )
    max_pixels: int = Field(
        default=64_000_000, ge=1, description="Images with more pixels than this are refused unread."
    )
    max_bytes: int = Field(default=64 * 2**20, ge=1, description="Larger files than this are refused unread.")
    shard_size: int = Field(default=2000, ge=1, le=100_000, description="Images per task on Ray.")
    batch_size: int = Field(
        default=16, ge=1, le=4096, description="Images per forward pass; 16 suits a CPU, a GPU likes 256."
    )
    cpus_per_shard: float = Field(default=1, ge=0.01, description="CPUs that each task on Ray asks for.")
    gpus_per_shard: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one, that each task on Ray asks for."
    )


class EditSettings(EditOptions, EditPlaces):
    """Edit every face image below a prefix and write the results below another one."""

    limit: int | None = Field(
        default=None, ge=1, description="Plan only the first N keys that are to be edited, to try it out."
    )
    redo: bool = Field(default=False, description="Plan all images, also those that are done and unchanged.")
    retry_failed: bool = Field(
        default=False,
        description="Do nothing but the failed images of the last run again, or of the one that --run-id names.",
    )
    run_id: Name | None = Field(default=None, description="A name for the run; by default it is derived.")
    dry_run: bool = Field(default=False, description="Count and print what would be done, then stop.")


class ReportSettings(Settings):
    """Show what an edit run has come to."""

    run: Url = Field(
        description="The run's folder (DESTINATION/_runs/RUN), or a destination: the run that ended there last."
    )
