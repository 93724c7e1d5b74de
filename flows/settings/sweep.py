"""The settings of a sweep: fixed values of all trials, the search space, and the resources of the trials."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import AliasChoices, Field

from attgan.training.config import TrainingConfig
from flows.settings.base import BundleUrl, CacheGb, EvaluatorUrl, NodeTimeout, Url, WeightsLicence
from flows.settings.durations import FormerlyHours
from flows.settings.groups import TRAINING
from flows.settings.layout import FieldGroup, Layout
from flows.settings.training import NetworkShape
from flows.urls import DEFAULT_BUNDLE, parse_url

PresetName = Literal["default", "shortcut", "alignment", "subset", "freezed", "lambda1", "alternate", "final"]
Search = Literal["grid", "random", "optuna"]
HigherIsBetter = Literal[
    "quality",
    "edited_accuracy",
    "ssim",
    "psnr",
    "target_accuracy",
    "classifier_accuracy",
    "critic_accuracy",
    "real_accuracy",
    "fake_accuracy",
]
LowerIsBetter = Literal[
    "generator_loss",
    "reconstruction",
    "attributes",
    "adversarial",
    "discriminator_loss",
    "classification",
    "critic",
]
Metric = Literal[HigherIsBetter, LowerIsBetter]
SecondMetric = Literal[Metric, "steps"]
Mode = Literal["max", "min"]

MOST_TRIALS = 1000
_PLACE = ".local/sweep"


class SweepSettings(TrainingConfig, NetworkShape):
    """Fine-tune for one attribute over a search space, with many trials in parallel, and compare the results.

    Every option of a training is a fixed value for all trials. --space has the options that differ between trials.
    """

    # A preset's value holds where none is chosen.
    layout = Layout(
        common=(
            "dataset",
            "destination",
            "preset",
            "space",
            "trials",
            "time_limit",
            "bundle",
            "metric",
            "gpus_per_trial",
            "dry_run",
        ),
        groups=(
            FieldGroup(
                "searching",
                "Search",
                "How trials are chosen, compared and stopped.",
                (
                    "space_file",
                    "search",
                    "scheduler",
                    "grace_steps",
                    "second_metric",
                    "warm_start",
                    "max_failures",
                ),
            ),
            FieldGroup(
                "start",
                "Start",
                "What the trials start from, and faces to train on where no dataset is given.",
                ("from_scratch", "align_steps", "align_dataset", "images"),
            ),
            *TRAINING,
        ),
        blank=True,
    )

    preset: PresetName = Field(
        default="default",
        description="An experiment of the reference study, without mirroring and in float32 as there, or `default`, a "
        "search. Options that are given override the preset's.",
    )
    space: list[str] = Field(
        default=[],
        description="The search space, instead of the preset's: NAME=VALUE,VALUE,… or "
        "NAME=log:LOW:HIGH, NAME=uniform:LOW:HIGH, NAME=int:LOW:HIGH, where NAME is an option of a training, such as "
        "lambda_reconstruction=1,10,50. Repeatable.",
    )
    space_file: Url | None = Field(
        default=None,
        description="A YAML or JSON file like a preset's, with settings, space, and drawn (used without --dataset). It "
        "overrides the preset.",
    )
    search: Search | None = Field(
        default=None,
        description="How trials are chosen: the whole grid, at random, or by Optuna; by default grid if the space "
        "consists of lists only, otherwise random.",
    )
    trials: int | None = Field(
        default=None,
        ge=1,
        le=MOST_TRIALS,
        description="The most trials; by default the whole grid, or 10. A sweep that has ended continues with a larger "
        "number.",
    )
    time_limit: FormerlyHours | None = Field(
        default=None,
        # Up to version 0.2 it was called hours.
        validation_alias=AliasChoices("time_limit", "hours"),
        description="Stop after this time; the same command resumes.",
    )
    scheduler: Literal["none", "asha"] = Field(
        default="none", description="asha stops trials early that are worse than the others."
    )
    grace_steps: int | None = Field(
        default=None,
        ge=1,
        description="ASHA: the fewest steps of a trial, where the first trials are stopped; further ones are at three "
        "times as many steps, nine times, and so on. By default at a quarter and three quarters of each trial's own "
        "steps.",
    )
    metric: Metric = Field(
        default="quality",
        description="The metric that ranks trials, measured on held-out faces. quality is the share of edits that the "
        "evaluator recognises, times the SSIM of the unchanged reconstruction.",
    )
    second_metric: SecondMetric | None = Field(
        default=None,
        description="A second metric. The results show which trials no other beats in both (the Pareto front), and "
        "--search=optuna searches for such trials. steps is the step after which the kept weights were saved.",
    )
    warm_start: Url | None = Field(
        default=None,
        description="The folder of an earlier sweep, for --search=optuna: its results are known from the beginning, as "
        "far as its trials lie in this space. They are read once, when this sweep begins.",
    )
    bundle: BundleUrl | None = Field(
        default=DEFAULT_BUNDLE,
        description="The trained model to start from: URL, path, or `default`: the one that is shipped.",
    )
    from_scratch: bool = Field(default=False, description="Start with fresh networks instead of a bundle.")
    evaluator: EvaluatorUrl = Field(
        default=None,
        description="The evaluator, an attribute classifier that measures edited faces: its folder, or a bundle with a "
        "classifier; by default the classifier of --bundle, or one that is trained before the trials.",
    )
    align_steps: int | None = Field(
        default=None,
        ge=1,
        description="The most steps of the alignment that precedes the trials if the bundle has no discriminator.",
    )
    align_dataset: Url | None = Field(
        default=None,
        description="The dataset of that alignment; by default --dataset. 70,000 of its images are drawn at random; a "
        "subset of one attribute, such as eyeglasses-extended, is refused.",
    )
    dataset: Url | None = Field(
        default=None, description="The dataset, as `attgan subset` makes it; by default faces are drawn."
    )
    images: int = Field(
        default=2000, ge=60, le=1_000_000, description="How many faces are drawn if no dataset is given."
    )
    destination: Url | None = Field(
        default=None, description=f"The sweep's folder: URL or path; by default {_PLACE}/PRESET."
    )
    test_faces: int = Field(
        default=256,
        ge=1,
        description="The most faces that the results are measured on; no training uses them.",
    )
    cpus_per_trial: float = Field(default=1, ge=1, description="CPUs that each trial asks for.")
    gpus_per_trial: float = Field(
        default=0,
        ge=0,
        le=1,
        description="GPUs, or the fraction of one, for each trial; 0 trains on CPUs.",
    )
    parallel: int | None = Field(
        default=None,
        ge=1,
        description="The most trials at a time; by default as many as the cluster has resources for.",
    )
    node_timeout: NodeTimeout = "10m"
    attempts: int = Field(
        default=3,
        ge=1,
        description="How often a failing trial is started, from its checkpoint, before it counts as failed.",
    )
    trial_timeout: FormerlyHours | None = Field(
        default=None,
        description="Stop a trial after this time of training; the best weights so far are its result.",
    )
    max_failures: int | None = Field(
        default=None,
        ge=0,
        description="Stop the sweep when more trials than this have failed; by default the others continue.",
    )
    cache_gb: CacheGb = None
    licence: WeightsLicence = None
    dry_run: bool = Field(default=False, description="Print the trials, and stop.")

    @property
    def place(self) -> str:
        """The URL of the sweep's folder."""
        return self.destination or parse_url(f"{_PLACE}/{self.preset}").url

    @property
    def device(self) -> Literal["cuda", "cpu"]:
        """The device that the trials use."""
        return "cuda" if self.gpus_per_trial else "cpu"

    @property
    def modes(self) -> dict[str, Mode]:
        """The metrics that trials are compared by, and whether higher or lower values of each are better."""
        metrics = [self.metric, *([self.second_metric] if self.second_metric else [])]
        return {name: "max" if name in get_args(HigherIsBetter) else "min" for name in metrics}

    @property
    def mode(self) -> Mode:
        """Whether higher or lower values of the metric that ranks trials are better."""
        return self.modes[self.metric]
