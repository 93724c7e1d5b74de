"""Measure all trials and the starting bundle: one Prefect task on Ray for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect import task

from flows.runtime import cluster, reporting
from flows.runtime.running import cause_of
from flows.storage import join
from flows.sweep.evaluation_spec import EvaluationSpec, measure_weights
from flows.sweep.folders import START, all_trials, kept_weights, trial_store
from flows.sweep.plan import SweepPlan
from flows.sweep.resolve import datasets_of
from flows.training.driver import RETRIES


@task(name="measure-trial", task_run_name="measure {place}", **RETRIES)
def measure_task(place: str, bundle: str, spec: EvaluationSpec, device: str, threads: int) -> dict[str, Any]:
    """Measure one trial, on Ray."""
    return measure_weights(place, bundle, spec, device=device, threads=threads)


def measure_all(plan: SweepPlan, log: reporting.Log) -> None:
    """Measure every trial that kept weights, and the starting bundle, unless that has been done before.

    A trial that cannot be measured is logged, and has no test numbers in the leaderboard.

    Raises:
        UserError: no node has the resources of a trial.
    """
    settings = plan.settings
    cpus, gpus = settings.cpus_per_trial, settings.gpus_per_trial
    parallel = cluster.workers(cluster.require_ray(cpus, gpus), cpus, gpus)
    todo = list(calls(plan))
    progress = reporting.Progress("sweep-measured", "bundles measured on the test faces", len(todo), log)
    for call, state in cluster.run_tasks(measure_task, todo, cpus=cpus, gpus=gpus, parallel=parallel):
        if not state.is_completed():
            log.warning("%s is not measured: %s", call["place"], cause_of(state) or state.message)
        progress.advance(1)


def spec_of(plan: SweepPlan) -> EvaluationSpec:
    """The evaluation spec of a sweep. If the trials search the dataset, it has the test faces of the first one."""
    settings, judge = plan.settings, plan.places.judge or plan.places.bundle
    assert judge is not None
    return EvaluationSpec(
        dataset=next(iter(datasets_of(settings)), plan.places.dataset),
        judge=judge,
        attribute=settings.attribute,
        faces=settings.test_faces,
        seed=settings.seed,
        validation_share=settings.validation_share,
    )


def calls(plan: SweepPlan) -> Iterator[dict[str, Any]]:
    """The arguments of ``measure_weights`` for the starting bundle and for each trial with weights."""
    settings, start = plan.settings, plan.places.bundle
    same = {"spec": spec_of(plan), "device": settings.device, "threads": int(settings.cpus_per_trial)}
    if start is not None:
        yield same | {"place": join(plan.store.url, START), "bundle": start}
    for trial in all_trials(plan):
        kept = kept_weights(trial_store(plan, trial.number))
        if kept is not None:
            yield same | {"place": trial.url, "bundle": join(trial.url, kept.path)}
