"""The settings of `attgan evaluate` and `preview`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from attgan.attributes import MAX_INTENSITY
from flows.settings.base import BundleUrl, NoFaces, Settings, Url
from flows.settings.durations import AtMostAWeek
from flows.settings.edit import ReportSettings, Styles
from flows.settings.layout import FieldGroup, Layout
from flows.urls import DEFAULT_BUNDLE


class EvaluateSettings(Settings):
    """Measure the edits of a bundle on held-out faces."""

    layout = Layout(
        common=("faces", "evaluator", "destination", "bundle", "images", "split", "limit", "style"),
        groups=(
            FieldGroup(
                "measures",
                "What is measured",
                "How the faces are edited, and what else they are compared with.",
                ("features", "renderer", "grey_copies", "find", "on_present", "intensity", "pages"),
            ),
            FieldGroup("technical", "Technical", "How it is computed.", ("batch_size", "seed")),
        ),
    )

    faces: list[Url] = Field(
        min_length=1,
        description="Table of faces (.tsv, .csv or .parquet) with the columns file and eyeglasses (0 or 1), and split, "
        "grey, set, male and young where they are known; or a dataset: a folder of Parquet parts that hold the images. "
        "Faces without glasses are edited, and compared with faces that wear glasses. Repeatable.",
    )
    images: list[Url] = Field(
        default=[],
        description="The images' folder, one for each table, in their order. By default the table's own folder, or the "
        "folder in it with the table's name, or `aligned` in that.",
    )
    evaluator: BundleUrl = Field(
        description="The network that decides whether a face wears glasses: a folder of a trained evaluator or a "
        "bundle, or a .tflite file that takes the eyes (1, height, width, 3) and returns a logit, below 0 for "
        "glasses. It must not have been used to train or choose the bundle.",
    )
    features: Url | None = Field(
        default=None,
        description="The independent network in whose features realism is measured: a .tflite file as for "
        "--evaluator; by default that one. Without such a file realism is not measured.",
    )
    destination: Url = Field(
        description="The folder for report.json, report.md, faces.csv and the before/after pages: URL or path."
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
        description="At most this many faces without and this many with glasses of each table, evenly spread over it.",
    )
    intensity: float = Field(
        default=1.0, gt=0, le=MAX_INTENSITY, description="How strong the edit is; 1 is the usual strength."
    )
    style: Styles = Field(
        default=[],
        description="Which glasses, as `attgan edit` takes them. By default the one that `attgan edit` gives.",
    )
    find: Literal["auto", "aligned", "largest"] = Field(
        default="auto",
        description="Where the faces are, as --faces of `attgan edit`: aligned images, or photographs in which faces "
        "are detected. Of a photograph with several faces the largest is measured.",
    )
    on_present: Literal["copy", "edit"] = Field(
        default="copy",
        description="What to do with a face that already wears glasses according to the bundle's attribute classifier: "
        "copy it, as `attgan edit` does, or edit it nevertheless.",
    )
    grey_copies: bool = Field(
        default=False,
        description="Also measure a grey copy of every coloured face; it counts as a grey face.",
    )
    renderer: bool = Field(
        default=False,
        description="Also measure the same faces with glasses from the renderer, which draws the training pairs.",
    )
    pages: int = Field(
        default=4,
        ge=0,
        le=100,
        description="Number of before/after pages with 24 faces each, evenly spread over all faces.",
    )
    batch_size: int = Field(default=16, ge=1, le=4096, description="Faces per forward pass.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap and of the renderer's glasses.")


class PreviewSettings(ReportSettings):
    """Write one HTML page with images of an edit run before and after, to look at in a browser."""

    output: Url | None = Field(
        default=None,
        description="Where the page goes: URL or path; by default preview.html in the run's folder.",
    )
    images: int = Field(
        default=300,
        ge=1,
        le=2000,
        description="The most images on the page. If the run has more, failed ones come first, then a random sample.",
    )
    bundle: BundleUrl | None = Field(
        default=None,
        description="The bundle whose attribute classifier sorts the edited faces, the least sure first; by default "
        "the run's own.",
    )
    no_faces: NoFaces = False
    link_lifetime: AtMostAWeek = Field(
        default="24h",
        description="How long the link to a page on S3 can be opened, by everybody who has it; at most 7d.",
    )
