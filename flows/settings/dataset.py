"""The settings of what makes datasets: the subset flow and the ingest command."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flows.settings.base import NodeTimeout, Settings, StoredAs, StoredSize, UnreadableShare, Url
from flows.settings.groups import RESOURCES
from flows.settings.layout import FieldGroup, Layout


class SubsetSettings(Settings):
    """Make a dataset of Parquet parts from CelebA, or from images in its layout."""

    layout = Layout(
        common=("source", "destination", "subset", "count", "store", "size", "dry_run"),
        groups=(
            FieldGroup(
                "choice",
                "Which rows",
                "Which rows are drawn, and how many unreadable images are accepted.",
                ("partitions", "ratio", "seed", "max_unreadable_share"),
            ),
            RESOURCES,
        ),
    )

    source: Url = Field(
        description="Folder in CelebA's layout (img_align_celeba/, list_attr_celeba.txt): URL or path."
    )
    destination: Url | None = Field(
        default=None, description="The dataset's folder: URL or path. Not needed for a dry run."
    )
    subset: str = Field(
        default="eyeglasses-extended",
        description="all, random, ATTRIBUTE-only, or ATTRIBUTE-extended (rows with it, and random ones without).",
    )
    ratio: float = Field(
        default=1 / 3, gt=0, lt=1, description="Share of rows with the attribute in an extended subset."
    )
    count: int | None = Field(
        default=None,
        ge=1,
        description="Rows of a random subset; by default 70,000, on which the reference study aligns, or all if there "
        "are fewer.",
    )
    partitions: list[Literal["train", "valid", "test"]] = Field(
        default=[], description="Only rows of these partitions; by default all rows. Repeatable."
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything that is drawn at random.")
    store: StoredAs = "original"
    size: StoredSize = 128
    rows_per_part: int = Field(
        default=2000, ge=1, description="Images per Parquet file, and per task on Ray."
    )
    max_unreadable_share: UnreadableShare = 0.01
    cpus_per_part: float = Field(default=1, gt=0, description="CPUs that each task on Ray asks for.")
    node_timeout: NodeTimeout = "10m"
    dry_run: bool = Field(default=False, description="Count and print what would be done, then stop.")


def _renaming(text: str) -> str:
    old, _, new = text.partition("=")
    if not old or not new:
        raise ValueError("write OLD=NEW: the column's name and CelebA's")
    return text


class IngestSettings(Settings):
    """Make a dataset from Parquet tables of images and labels."""

    layout = Layout(
        common=("source", "destination", "image_column", "rename", "store", "size", "dry_run"),
        groups=(
            FieldGroup(
                "columns",
                "Columns",
                "What else the tables hold.",
                ("id_column", "partition_column", "identity_column"),
            ),
            FieldGroup(
                "parts",
                "Parts",
                "The files that are made.",
                ("rows_per_part", "max_unreadable_share"),
            ),
        ),
    )

    source: Url = Field(description="A Parquet file, or a folder of *.parquet: URL or path.")
    destination: Url | None = Field(
        default=None, description="The dataset's folder: URL or path. Not needed for a dry run."
    )
    image_column: str = Field(
        default="image", description="Column of the images: bytes, or a struct with a field bytes."
    )
    id_column: str | None = Field(
        default=None, description="Column of the images' names; by default image_id, or rows are numbered."
    )
    partition_column: str | None = Field(
        default=None,
        description="Column with train, valid and test, or 0, 1 and 2; by default partition or split.",
    )
    identity_column: str | None = Field(
        default=None, description="Column that identifies the person in the image; by default identity."
    )
    rename: list[Annotated[str, AfterValidator(_renaming)]] = Field(
        default=[],
        description="A column's name and CelebA's name of the attribute in it, OLD=NEW. Repeatable.",
    )
    store: StoredAs = "original"
    size: StoredSize = 128
    rows_per_part: int = Field(default=2000, ge=1, description="Images per Parquet file.")
    max_unreadable_share: UnreadableShare = 0.01
    dry_run: bool = Field(
        default=False, description="Read the labels and print what would be done, then stop."
    )
