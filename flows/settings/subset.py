"""The subset flow's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.settings.base import Settings, Share, Url


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
