"""The settings of a sweep: what is fixed in all trials, what is searched and how, and what the trials may use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from attgan.training.config import TrainingConfig
from flows.settings.base import BundleUrl, Url
from flows.settings.training import Line, NetworkShape
from flows.urls import DEFAULT_BUNDLE, parse_url

PresetName = Literal["default", "shortcut", "alignment", "subset", "freezed", "lambda1", "alternate", "final"]
Search = Literal["grid", "random", "optuna"]
Metric = Literal[
    "quality",
    "edited_accuracy",
    "ssim",
    "psnr",
    "target_accuracy",
    "classifier_accuracy",
    "critic_accuracy",
    "real_accuracy",
    "fake_accuracy",
    "generator_loss",
    "reconstruction",
    "attributes",
    "adversarial",
    "discriminator_loss",
    "classification",
    "critic",
]
_HIGHER_IS_BETTER = frozenset(
    {
        "quality",
        "edited_accuracy",
        "ssim",
        "psnr",
        "target_accuracy",
        "classifier_accuracy",
        "critic_accuracy",
        "real_accuracy",
        "fake_accuracy",
    }
)

MOST_TRIALS = 1000
_PLACE = ".local/sweep"


class SweepSettings(TrainingConfig, NetworkShape):
    """Fine-tune for one attribute in many ways side by side, and compare what comes of them.

    Every option of a training is a fixed value for all trials; what differs between them is --space.
    """

    preset: PresetName = Field(
        default="default",
        description="An experiment of the report, or `default`, a search. Options that are given come before its own.",
    )
    space: list[str] = Field(
        default=[],
        description="What is searched, in place of what the preset searches and how: NAME=VALUE,VALUE,… or "
        "NAME=log:LOW:HIGH, NAME=uniform:LOW:HIGH, NAME=int:LOW:HIGH, where NAME is an option of a training, such as "
        "lambda_reconstruction=1,10,50. Repeatable.",
    )
    space_file: Url | None = Field(
        default=None,
        description="A YAML or JSON file like a preset's: settings, space, and drawn for when no dataset is named. It "
        "comes before the preset.",
    )
    search: Search | None = Field(
        default=None,
        description="How trials are chosen: all of the grid, drawn at random, or suggested by Optuna; by default grid "
        "if the space is lists alone, otherwise random.",
    )
    trials: int | None = Field(
        default=None,
        ge=1,
        le=MOST_TRIALS,
        description="At most so many; by default the whole grid, or 10. A sweep that has ended goes on with more.",
    )
    hours: float | None = Field(
        default=None, gt=0, description="Stop after so long; the same command goes on."
    )
    scheduler: Literal["none", "asha"] = Field(
        default="none", description="asha stops early the trials that are behind the others."
    )
    grace_steps: int | None = Field(
        default=None, ge=1, description="ASHA: no trial is stopped before; by default a quarter of its steps."
    )
    metric: Metric = Field(
        default="quality",
        description="What decides between trials, measured on held-out faces; quality is the share of edits that the "
        "judge sees, times the SSIM of the unchanged reconstruction.",
    )
    bundle: BundleUrl | None = Field(
        default=DEFAULT_BUNDLE,
        description="The trained model to start from: URL, path, or `default`: the one that is shipped.",
    )
    from_scratch: bool = Field(default=False, description="Start with fresh networks instead of a bundle.")
    judge: BundleUrl | None = Field(
        default=None,
        description="Who says what edited faces show: a judge's folder, or a bundle with a classifier; by default "
        "the classifier of --bundle, or one that is trained before the trials.",
    )
    align_steps: int | None = Field(
        default=None,
        ge=1,
        description="At most so many steps for the alignment of a bundle without a discriminator, before the trials.",
    )
    dataset: Url | None = Field(
        default=None, description="The dataset, as `attgan subset` makes it; by default faces are drawn."
    )
    images: int = Field(
        default=2000, ge=60, le=1_000_000, description="How many faces are drawn, where no dataset is named."
    )
    destination: Url | None = Field(
        default=None, description=f"The sweep's folder: URL or path; by default {_PLACE}/PRESET."
    )
    test_faces: int = Field(
        default=256, ge=1, description="At most so many faces, of none of the trainings, measure the results."
    )
    cpus_per_trial: float = Field(default=1, ge=1, description="CPUs that each trial asks for.")
    gpus_per_trial: float = Field(
        default=0,
        ge=0,
        le=1,
        description="GPUs, or the fraction of one, for each trial; with 0 the CPUs do the work.",
    )
    parallel: int | None = Field(
        default=None, ge=1, description="At most so many trials at a time; by default what the cluster holds."
    )
    attempts: int = Field(
        default=3,
        ge=1,
        description="How often a trial that fails is begun, from its checkpoint, before it counts as failed.",
    )
    cache_gb: float | None = Field(
        default=None,
        ge=0,
        description="Keep all images decoded, once for each node, if they fit into so many GiB; by default a quarter "
        "of the memory, at most 4.",
    )
    licence: Line | None = Field(
        default=None,
        description="One line on what the weights may be used for; by default on the data's terms.",
    )
    dry_run: bool = Field(default=False, description="Print the trials, and stop.")

    @property
    def place(self) -> str:
        """The URL of the sweep's folder."""
        return self.destination or parse_url(f"{_PLACE}/{self.preset}").url

    @property
    def device(self) -> Literal["cuda", "cpu"]:
        """Where the networks are."""
        return "cuda" if self.gpus_per_trial else "cpu"

    @property
    def mode(self) -> Literal["max", "min"]:
        """Which direction of the metric is better."""
        return "max" if self.metric in _HIGHER_IS_BETTER else "min"
