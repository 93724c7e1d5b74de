"""What a user can set: one model for each flow.

A model is the parameter of its flow, the form in the Prefect UI and the options of the command. The description of a
field is its help text in all three. Rules for single fields are checked here and nowhere else.
"""

from flows.settings.base import BundleUrl, Settings, Url, refusal_of
from flows.settings.bench import BenchSettings, EstimateSettings, Scenario, scenario_of
from flows.settings.dataset import IngestSettings, SubsetSettings
from flows.settings.demo import DemoSettings, DemoTrainingSettings
from flows.settings.deploy import DeploySettings, ScheduleSettings
from flows.settings.durations import seconds_of
from flows.settings.edit import EditSettings, ReportSettings
from flows.settings.evaluation import EvaluateSettings, PreviewSettings
from flows.settings.operate import ForgetSettings, PruneSettings, UndoSettings
from flows.settings.pipeline import PipelineSettings
from flows.settings.sweep import SweepSettings
from flows.settings.training import AlignSettings, ClassifierSettings, SweepEvaluatorSettings, TrainSettings
from flows.settings.weights import ExportSettings, ImportWeightsSettings, InitSettings, MakeDefaultSettings
from flows.urls import DEFAULT_BUNDLE

# The settings of the flows that can be deployed, by the flow's name.
OF_FLOW: dict[str, type[Settings]] = {
    "align": AlignSettings,
    "edit": EditSettings,
    "pipeline": PipelineSettings,
    "subset": SubsetSettings,
    "sweep": SweepSettings,
    "train": TrainSettings,
    "train-classifier": ClassifierSettings,
}

__all__ = [
    "DEFAULT_BUNDLE",
    "OF_FLOW",
    "AlignSettings",
    "BenchSettings",
    "BundleUrl",
    "ClassifierSettings",
    "DemoSettings",
    "DemoTrainingSettings",
    "DeploySettings",
    "EditSettings",
    "EstimateSettings",
    "EvaluateSettings",
    "ExportSettings",
    "ForgetSettings",
    "ImportWeightsSettings",
    "IngestSettings",
    "InitSettings",
    "MakeDefaultSettings",
    "PipelineSettings",
    "PreviewSettings",
    "PruneSettings",
    "ReportSettings",
    "Scenario",
    "ScheduleSettings",
    "Settings",
    "SubsetSettings",
    "SweepEvaluatorSettings",
    "SweepSettings",
    "TrainSettings",
    "UndoSettings",
    "Url",
    "refusal_of",
    "scenario_of",
    "seconds_of",
]
