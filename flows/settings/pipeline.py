"""The settings of the pipeline: common ones of its four steps, and further options for single steps."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flows.settings.base import BundleUrl, NodeTimeout, Settings, Url
from flows.settings.layout import FieldGroup, Layout
from flows.settings.sweep import PresetName
from flows.urls import DEFAULT_BUNDLE, parse_url

_PLACE = ".local/pipeline"
_OPTIONS = "Further settings of this step, by name, such as {}. They override the common ones."


class PipelineSettings(Settings):
    """Make a dataset, align a discriminator, run a sweep, and edit images with the best model.

    Results of an earlier run are used again, so the same command resumes where that run ended.
    """

    layout = Layout(
        common=("source", "destination", "photos", "subset", "preset", "bundle", "gpus", "dry_run"),
        groups=(
            FieldGroup(
                "steps",
                "Single steps",
                "Further settings of each step.",
                ("subset_options", "align_options", "sweep_options", "edit_options"),
            ),
            FieldGroup(
                "further",
                "Further settings",
                "Another place for edited images, drawn faces, and how long nodes are waited for.",
                ("edited", "images", "seed", "node_timeout"),
            ),
        ),
    )

    source: Url | None = Field(
        default=None,
        description="Labelled faces in CelebA's layout: URL or path; by default faces are drawn.",
    )
    photos: Url | None = Field(
        default=None,
        description="Images to edit in the last step: URL or path; by default those of the source.",
    )
    destination: Url | None = Field(
        default=None,
        description="The folder of all results: dataset/, random/, aligned/, the sweep with its best/, and edited/. "
        f"URL or path; by default {_PLACE}.",
    )
    edited: Url | None = Field(
        default=None, description="Where edited images go instead of edited/ in that folder: URL or path."
    )
    subset: str = Field(
        default="eyeglasses-extended",
        description="The subset of the source that trials are trained on: all, random, ATTRIBUTE-only or "
        "ATTRIBUTE-extended. The discriminator is aligned on random faces. Of drawn faces all are used.",
    )
    preset: PresetName = Field(default="default", description="The sweep's preset.")
    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE,
        description="The trained model to start from: URL, path, or `default`: the one that is shipped.",
    )
    images: int = Field(
        default=2000, ge=60, le=1_000_000, description="How many faces are drawn if no source is given."
    )
    gpus: float = Field(
        default=0,
        ge=0,
        le=1,
        description="GPUs, or the fraction of one, for the alignment, each trial and each shard of images.",
    )
    node_timeout: NodeTimeout = "10m"
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
