"""The training flows, all made by one factory: one Prefect task on Ray trains, and the flow shows the progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Flow, State, Task, flow, get_run_logger, task

from flows.runtime import reporting
from flows.runtime.cluster import tasks
from flows.runtime.running import refusals_as_states
from flows.training.driver import RETRIES, run_on_ray
from flows.training.kinds import ALIGN, CLASSIFIER, TRAIN, Kind

Result = dict[str, Any]


def training_task(name: str, trial: Callable[..., Result]) -> Task[..., Result]:
    """The task that trains on Ray.

    Args:
        name: of the task. Its runs also have the destination in their name.
        trial: a function of an importable module. A task is pickled by value, and its function must not be.
    """

    def run(settings: Any, command: str) -> Result:
        return trial(settings, command=command)

    decorate = task(name=name, task_run_name=name + " {settings.destination}", **RETRIES)
    return decorate(run)


def training_flow(kind: Kind) -> Flow[..., Result | State[Any]]:
    """The flow of a kind of training. Its only parameter is ``settings``."""
    on_ray = training_task(kind.name, kind.trial)

    def run(settings: Any) -> Result | State[Any]:
        prepared = kind.prepare(settings)
        if settings.dry_run:
            rows = kind.plan_rows(prepared)
            reporting.table(f"{kind.name}-dry-run", rows, f"What {kind.name} would do")
            return {}
        return run_on_ray(on_ray, kind, prepared, get_run_logger())

    # Prefect makes the form in its UI from the annotation.
    run.__annotations__["settings"] = kind.settings
    decorate = flow(
        name=kind.name,
        description=kind.summary,
        flow_run_name=kind.name + " {settings.destination}",
        task_runner=tasks.task_runner(),
        validate_parameters=True,
    )
    return decorate(refusals_as_states(run))


train = training_flow(TRAIN)
align = training_flow(ALIGN)
train_classifier = training_flow(CLASSIFIER)
FLOWS = {one.name: one for one in (train, align, train_classifier)}
