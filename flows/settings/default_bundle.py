"""The settings of `attgan make-default`."""

from __future__ import annotations

from pydantic import Field

from flows.settings.base import BundleUrl, Settings, Url


class MakeDefaultSettings(Settings):
    """Make the bundle that is shipped, from faces that may be shipped. Each stage that is done is skipped."""

    faces: list[Url] = Field(
        min_length=1,
        description="Table of aligned faces (.tsv, .csv or .parquet) with the columns file, eyeglasses (0 or 1) and "
        "split; its rows of `train` are used, every tenth for validation. Repeatable.",
    )
    images: list[Url] = Field(
        default=[],
        description="The images' folder, one for each table, in their order; by default beside the table.",
    )
    destination: Url = Field(description="The stages' folders, and at last `default`: URL or path.")
    licence: str = Field(
        min_length=1, description="One line on what the faces, and so the weights, may be used for."
    )
    bundle: BundleUrl | None = Field(
        default=None,
        description="A trained model whose generator to begin with: URL, path or `default`; by default from scratch.",
    )
    drawn: int = Field(
        default=3000,
        ge=60,
        description="Faces drawn for the classifier, which tell all attributes; an eighth of them is paired, too.",
    )
    size: int = Field(
        default=128, ge=64, multiple_of=32, description="From scratch: side of the faces, in pixels."
    )
    steps: int = Field(default=8_000, ge=1, description="Of the paired training.")
    final_steps: int = Field(
        default=3_000, ge=1, description="Of the last part, in which its learning rate falls."
    )
    classifier_steps: int = Field(default=4_000, ge=1, description="Of the classifier's training.")
    cpus: float | None = Field(default=None, gt=0, description="Threads to train with; by default all.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Of everything that is drawn at random.")
