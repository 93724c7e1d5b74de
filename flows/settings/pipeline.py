"""The settings of the pipeline: what its four steps have in common, and what one of them is to have besides."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flows.settings.base import BundleUrl, Settings, Url
from flows.settings.sweep import PresetName
from flows.urls import DEFAULT_BUNDLE, parse_url

_PLACE = ".local/pipeline"
_OPTIONS = "Other settings of this step alone, by name, such as {}; they come before the ones above."


class PipelineSettings(Settings):
    """The four jobs in a row: cut a dataset, align a discriminator, fine-tune in many ways, edit with the best.

    What is there already is taken as it is, so the same command goes on where an earlier one ended.
    """

    source: Url | None = Field(
        default=None,
        description="Labelled faces in CelebA's layout: URL or path; by default faces are drawn.",
    )
    photos: Url | None = Field(
        default=None, description="Images to edit in the end: URL or path; by default those of the source."
    )
    destination: Url | None = Field(
        default=None,
        description="The folder of all that is made: dataset/, aligned/, the sweep with its best/, and edited/: URL or "
        f"path; by default {_PLACE}.",
    )
    edited: Url | None = Field(
        default=None, description="Where edited images go instead of edited/ in that folder: URL or path."
    )
    subset: str = Field(
        default="eyeglasses-extended",
        description="What is cut from the source: all, random, ATTRIBUTE-only or ATTRIBUTE-extended. Drawn faces are "
        "all taken.",
    )
    preset: PresetName = Field(default="default", description="The sweep's preset.")
    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE,
        description="The trained model to start from: URL, path, or `default`: the one that is shipped.",
    )
    images: int = Field(
        default=2000, ge=60, le=1_000_000, description="How many faces are drawn, where no source is named."
    )
    gpus: float = Field(
        default=0,
        ge=0,
        le=1,
        description="GPUs, or the fraction of one, for the alignment, each trial and each shard of images.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything that is drawn at random.")
    subset_options: dict[str, Any] = Field(default={}, description=_OPTIONS.format('{"count": 70000}'))
    align_options: dict[str, Any] = Field(default={}, description=_OPTIONS.format('{"max_steps": 2000}'))
    sweep_options: dict[str, Any] = Field(default={}, description=_OPTIONS.format('{"trials": 8}'))
    edit_options: dict[str, Any] = Field(default={}, description=_OPTIONS.format('{"set": ["Bangs=1"]}'))
    dry_run: bool = Field(default=False, description="Print the steps, and stop.")

    @property
    def place(self) -> str:
        """The URL of the pipeline's folder."""
        return self.destination or parse_url(_PLACE).url
