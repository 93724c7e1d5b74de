"""The settings of `attgan evaluate`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from attgan.attributes import MAX_INTENSITY
from flows.settings.base import BundleUrl, Settings, Url
from flows.settings.edit import Styles
from flows.urls import DEFAULT_BUNDLE


class EvaluateSettings(Settings):
    """Measure a bundle on faces that no training has seen: what a user receives, beside what it is made from."""

    faces: list[Url] = Field(
        min_length=1,
        description="Table of faces (.tsv, .csv or .parquet) with the columns file and eyeglasses (0 or 1), and split, "
        "grey, set, male and young where they are known; or a dataset: a folder of Parquet parts that hold the images. "
        "Bare faces are edited, those of wearers are compared with. Repeatable.",
    )
    images: list[Url] = Field(
        default=[],
        description="The images' folder, one for each table, in their order. By default the table's own folder, or the "
        "one in it that is called as the table is, or `aligned` in that.",
    )
    evaluator: BundleUrl = Field(
        description="What says whether a face wears glasses: a folder of a trained judge or a bundle, or a .tflite "
        "file that takes the eyes (1, height, width, 3) and answers with a logit, below 0 for glasses. It should have "
        "had no part in the training or choice of the bundle.",
    )
    features: Url | None = Field(
        default=None,
        description="The independent network in whose features realism is measured: a .tflite file as for "
        "--evaluator, and by default that one. Without one realism is not measured.",
    )
    destination: Url = Field(
        description="Where report.json, report.md, faces.csv and the pages of before and after go: URL or path."
    )
    bundle: BundleUrl = Field(
        default=DEFAULT_BUNDLE,
        description="The trained model: URL or path of a bundle's folder, or `default`: the one that is shipped.",
    )
    split: Literal["train", "valid", "test", "all"] = Field(
        default="test", description="Only rows of this split; a table without splits is taken whole."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="At most so many bare faces and so many wearers of each table, evenly spread over it.",
    )
    intensity: float = Field(
        default=1.0, gt=0, le=MAX_INTENSITY, description="How strongly glasses are asked for; 1 is the usual."
    )
    style: Styles = Field(
        default=[],
        description="Which glasses, as `attgan edit` takes them. By default the one that `attgan edit` gives.",
    )
    find: Literal["auto", "aligned", "largest"] = Field(
        default="auto",
        description="Where the faces are, as --faces of `attgan edit`: in aligned images by their size, or searched "
        "for. Of a photograph with several faces the largest is measured.",
    )
    on_present: Literal["copy", "edit"] = Field(
        default="copy",
        description="What to do with a face that the bundle's classifier takes for a wearer's: leave it as it is, as "
        "`attgan edit` does, or edit it nevertheless.",
    )
    grey_copies: bool = Field(
        default=False,
        description="Measure a grey copy of every coloured face, too; it counts among the grey ones.",
    )
    renderer: bool = Field(
        default=False,
        description="Measure the glasses renderer's own pictures of the same faces, which a model is taught by, too.",
    )
    pages: int = Field(
        default=4,
        ge=0,
        le=100,
        description="Pages of before and after, 24 faces each, evenly spread over all.",
    )
    batch_size: int = Field(default=16, ge=1, le=4096, description="Faces per forward pass.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap and of the renderer's glasses.")
