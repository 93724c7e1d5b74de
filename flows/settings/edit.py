"""The settings of the edit flow, and of the report on one of its runs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, StringConstraints

from attgan.attributes import MAX_INTENSITY
from flows.settings.base import BundleUrl, Name, NodeTimeout, NoFaces, Settings, Share, Url
from flows.settings.durations import Duration, FormerlySeconds
from flows.settings.groups import RESOURCES
from flows.settings.layout import FieldGroup, Layout
from flows.urls import DEFAULT_BUNDLE, hide_credentials


def _edit_form(edit: str) -> str:
    if not re.fullmatch(r"[^=@]+=[01](@[0-9.]+)?", edit):
        raise ValueError("write NAME=1 or NAME=0, or NAME=1@0.8 for an intensity of its own")
    return edit


Edit = Annotated[str, AfterValidator(_edit_form)]

PushUrl = Annotated[str, StringConstraints(pattern="^https?://"), AfterValidator(hide_credentials)]

OutputFormat = Literal["keep", "jpeg", "png", "webp", "tiff"]
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
    """Accept ``--style round,metal`` as well as the option twice."""
    if not isinstance(styles, list):
        return styles
    return [
        name.strip() for text in styles for name in (text.split(",") if isinstance(text, str) else [text])
    ]


Styles = Annotated[list[Style], BeforeValidator(_split)]


# The common fields of an edit, besides its places, and the groups of all others.
COMMON = ("set", "style", "intensity", "bundle", "faces", "gpus_per_shard")
GROUPS = (
    FieldGroup(
        "choice",
        "Which images",
        "Which images a run edits, and what happens to those that need no edit.",
        (
            "redo",
            "mirror_deletions",
            "mirror_max_share",
            "retry_failed",
            "run_id",
            "on_present",
            "on_unsure",
            "on_existing",
        ),
    ),
    FieldGroup(
        "detection",
        "Finding faces and glasses for them",
        "Which faces of a photograph are edited, and what is known of them.",
        ("min_face", "min_confidence", "labels", "style_from"),
    ),
    FieldGroup(
        "results",
        "Results",
        "What is written, and in which format.",
        ("format", "quality", "metadata", "paste", "output", "no_faces"),
    ),
    FieldGroup(
        "limits",
        "Limits",
        "When images are refused, and when a run warns or stops.",
        (
            "max_images",
            "max_rate",
            "deadline",
            "max_failed_share",
            "notice_share",
            "max_pixels",
            "max_bytes",
        ),
    ),
    FieldGroup(
        "metrics",
        "Metrics",
        "Prometheus metrics of the run.",
        ("metrics_port", "metrics_host", "metrics_push"),
    ),
    RESOURCES,
)


class EditPlaces(Settings):
    """The input and the output of an edit."""

    source: Url = Field(description="Images to edit: s3://bucket/prefix, file:///folder or a path.")
    destination: Url = Field(description="Where the edited images go, under the same keys: URL or path.")


class EditOptions(Settings):
    """The options that a schedule can set for all its runs."""

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
        description="How strongly the changed attributes are set; 1 is the usual strength.",
    )
    style: Styles = Field(
        default=[],
        description="Which glasses: one shape (round, oval, rectangle, wayfarer, cat_eye, aviator) and any of "
        "half_rim, rimless, thick_rim, metal, light_frame, sunglasses; or mixed: another style for each face. By "
        "default one that suits most faces. Repeatable, or with commas.",
    )
    style_from: Url | None = Field(
        default=None,
        description="A CSV or Parquet table with the columns key and style, for images with another style.",
    )
    labels: Url | None = Field(
        default=None,
        description="Folder with CelebA's label files: the source attributes of the images listed there. For other "
        "images the bundle's attribute classifier predicts them; without one they are unknown.",
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
    min_confidence: Share = Field(
        default=0.9, description="The least confidence of the face detector, 0 to 1."
    )
    paste: Literal["difference", "whole"] = Field(
        default="difference",
        description="What is put back into the image: only what the edit has changed, or the whole edited face.",
    )
    output: Literal["image", "face"] = Field(
        default="image",
        description="The whole image with the edited face in it, or the face alone (of a photograph, the largest).",
    )
    format: OutputFormat = Field(
        default="keep",
        description="Format of the results; another one than the input's has its extension appended to the key.",
    )
    quality: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="JPEG and WebP quality of the results. By default a JPEG keeps its own quantisation tables, and "
        "other files are written with 95.",
    )
    metadata: Literal["keep", "no-location", "none"] = Field(
        default="keep",
        description="What the results say of the photograph: all that its file says (EXIF, IPTC, XMP, comments, "
        "resolution); all but where it was taken; or nothing. Colour profile and orientation are always kept.",
    )
    on_present: Literal["copy", "skip", "edit"] = Field(
        default="copy",
        description="What to do with a face that already has the attributes, according to its label or to the bundle's "
        "attribute classifier.",
    )
    on_unsure: Literal["edit", "copy", "skip"] = Field(
        default="edit",
        description="What to do with a face for which the bundle's attribute classifier cannot decide whether it "
        "already has the attributes.",
    )
    on_existing: Literal["skip", "overwrite", "fail"] = Field(
        default="skip",
        description="What to do if the destination already has the key, from elsewhere or from a run with other "
        "settings.",
    )
    max_failed_share: Share = Field(
        default=0.1,
        description="Stop when more than this share of the images cannot be used, from 1,000 images on; fail at the "
        "end with fewer.",
    )
    notice_share: Share = Field(
        default=0.05,
        description="Warn when more than this share of the images was not edited, or edited without certainty, for one "
        "reason.",
    )
    max_pixels: int = Field(
        default=64_000_000, ge=1, description="Images with more pixels than this fail without being decoded."
    )
    max_bytes: int = Field(
        default=64 * 2**20, ge=1, description="Files with more bytes than this fail without being read."
    )
    stall_timeout: FormerlySeconds = Field(
        default="10m",
        description="The time without progress after which the process of a task on Ray is ended. After the second "
        "time its shard is edited in isolation, an image at a time where needed.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Images per task on Ray. By default a run begins with small shards, and none is larger than a "
        "thirtieth of the run, or 2,000 images on a GPU and 500 on CPUs, so that all workers have work and progress is "
        "seen early.",
    )
    batch_size: int = Field(
        default=16, ge=1, le=4096, description="Images per forward pass: 16 for a CPU, 256 for a GPU."
    )
    cpus_per_shard: float = Field(default=1, ge=0.01, description="CPUs that each task on Ray asks for.")
    gpus_per_shard: float = Field(
        default=0, ge=0, le=1, description="GPUs, or the fraction of one, that each task on Ray asks for."
    )
    node_timeout: NodeTimeout = "10m"
    no_faces: NoFaces = False
    max_images: int | None = Field(
        default=None,
        ge=1,
        # Up to version 0.2 it was called limit. That name is still accepted.
        validation_alias=AliasChoices("max_images", "limit"),
        description="Edit at most this many images. The same command then edits the next ones.",
    )
    max_rate: float | None = Field(
        default=None,
        gt=0,
        description="The most images per second, on average over all workers: shards are started more slowly.",
    )
    mirror_deletions: bool = Field(
        default=False,
        description="First remove the outputs whose image is no longer in the source: only what earlier runs wrote "
        "and nobody has changed since.",
    )
    mirror_max_share: Share = Field(
        default=0.1,
        description="With --mirror-deletions, refuse if more than this share of the outputs would be removed.",
    )
    deadline: Duration | None = Field(
        default=None,
        description="Start no more shards after this time. Those at work are finished, and the same command continues "
        "later.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Serve Prometheus metrics of the run at this port while it runs.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="The address that --metrics-port listens at; 0.0.0.0 for all."
    )
    metrics_push: PushUrl | None = Field(
        default=None,
        description="Push the metrics every ten seconds, and at the end, to the Pushgateway at this URL.",
    )


class EditSettings(EditOptions, EditPlaces):
    """Edit every face image below a prefix and write the results below another one."""

    layout = Layout(("source", "destination", *COMMON, "dry_run"), GROUPS)

    redo: bool = Field(
        default=False, description="Plan all images, including those that are done and unchanged."
    )
    retry_failed: bool = Field(
        default=False,
        description="Process only the failed images of the last run again, or of the run that --run-id names.",
    )
    run_id: Name | None = Field(default=None, description="A name for the run; by default it is derived.")
    dry_run: bool = Field(default=False, description="Count and print what would be done, then stop.")


class ReportSettings(Settings):
    """Show the report of an edit run."""

    run: Url = Field(
        description="The run's folder (DESTINATION/_runs/RUN), or a destination: the run that ended there last."
    )
