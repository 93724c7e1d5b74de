"""The train flow: one Prefect task on Ray trains, and this process shows the progress."""

from __future__ import annotations

from typing import Any

from prefect import State, flow, get_run_logger, task

from flows.runtime import cluster, reporting
from flows.runtime.running import refusals_as_states
from flows.settings import TrainSettings
from flows.training.driver import RETRIES, run_on_ray
from flows.training.train import report
from flows.training.train.plan import prepare
from flows.training.train.trial import train_trial


@task(name="train", task_run_name="train {settings.destination}", **RETRIES)
def train_task(settings: TrainSettings, command: str) -> dict[str, Any]:
    """Train, on Ray."""
    return train_trial(settings, command=command)


@flow(
    name="train",
    flow_run_name="train {settings.destination}",
    task_runner=cluster.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def train(settings: TrainSettings) -> dict[str, Any] | State[Any]:
    """Train AttGAN with one of the strategies, from a bundle or from scratch."""
    log = get_run_logger()
    prepared = prepare(settings)
    if settings.dry_run:
        reporting.table("train-dry-run", report.plan_rows(prepared), "What a training would do")
        return {}
    return run_on_ray(train_task, prepared, log)
