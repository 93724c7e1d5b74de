"""The align flow: one Prefect task on Ray trains a discriminator, and this process shows the progress."""

from __future__ import annotations

from typing import Any

from prefect import State, flow, get_run_logger, task

from flows.runtime import cluster, reporting
from flows.runtime.running import refusals_as_states
from flows.settings import AlignSettings
from flows.training.align.trial import align_trial
from flows.training.driver import RETRIES, run_on_ray
from flows.training.train import report
from flows.training.train.plan import prepare


@task(name="align", task_run_name="align {settings.destination}", **RETRIES)
def align_task(settings: AlignSettings, command: str) -> dict[str, Any]:
    """Align, on Ray."""
    return align_trial(settings, command=command)


@flow(
    name="align",
    flow_run_name="align {settings.destination}",
    task_runner=cluster.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def align(settings: AlignSettings) -> dict[str, Any] | State[Any]:
    """Train a discriminator against a bundle's frozen generator, so that both can be fine-tuned together."""
    log = get_run_logger()
    prepared = prepare(settings)
    if settings.dry_run:
        reporting.table("align-dry-run", report.plan_rows(prepared), "What an alignment would do")
        return {}
    return run_on_ray(align_task, prepared, log)
