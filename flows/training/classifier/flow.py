"""The train-classifier flow: one Prefect task on Ray trains, and this process shows the progress."""

from __future__ import annotations

from typing import Any

from prefect import State, flow, get_run_logger, task

from flows.runtime import cluster, reporting
from flows.runtime.running import refusals_as_states
from flows.settings import ClassifierSettings
from flows.training.classifier import report
from flows.training.classifier.plan import prepare
from flows.training.classifier.trial import classifier_trial
from flows.training.driver import RETRIES, drive


@task(name="train-classifier", task_run_name="train-classifier {settings.destination}", **RETRIES)
def train_classifier_task(settings: ClassifierSettings, command: str) -> dict[str, Any]:
    """Train, on Ray."""
    return classifier_trial(settings, command=command)


@flow(
    name="train-classifier",
    flow_run_name="train-classifier {settings.destination}",
    task_runner=cluster.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def train_classifier(settings: ClassifierSettings) -> dict[str, Any] | State[Any]:
    """Train a small network that predicts the attributes of unlabelled faces, and add it to a bundle."""
    log = get_run_logger()
    prepared = prepare(settings)
    if settings.dry_run:
        rows = report.plan_rows(prepared)
        reporting.table("train-classifier-dry-run", rows, "What a classifier's training would do")
        return {}
    for what, value in report.plan(prepared).items():
        log.info("%s: %s", what, value)
    outcome: dict[str, Any] | State[Any] | None = prepared.finished
    if outcome is None:
        outcome = drive(train_classifier_task, settings, prepared.store, log)
    else:
        log.info("%s holds this run, and it has finished", settings.destination)
    if not isinstance(outcome, dict):
        return outcome
    result = outcome | {"bundle": settings.destination, "licence": prepared.licence}
    rows = report.score_rows(result)
    reporting.table("train-classifier-result", rows, f"Attributes of held-out faces, {settings.destination}")
    return result
